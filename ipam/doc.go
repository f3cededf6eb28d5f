// Package ipam decides which Service holds which address, who gets the next
// one, and why not.
//
// It is pure: values in, values out, without I/O, clock or logs. The same calls
// in the same order always lead to the same state.
//
// An address passes through three states. It is free; or held, by one Service
// or by several that share it; or retiring: taken from a Service whose status
// may still show it, and reserved until Confirm says that it no longer does.
//
// Who can't be served waits. An address that comes free is given at once, in
// memory, to the oldest waiter that can use it, so that there is never a free
// address that a waiter could use.
package ipam
