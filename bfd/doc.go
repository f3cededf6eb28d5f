// Package bfd tells within milliseconds that a neighbour has gone: Bidirectional
// Forwarding Detection in asynchronous mode (RFC 5880), over one hop (RFC 5881)
// or several (RFC 5883), without authentication and echo.
//
// Packet is the codec. A session is a state machine without I/O or clock. The
// Engine holds the sessions and does their I/O in one thread.
package bfd
