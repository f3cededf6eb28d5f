// Package chaos has the controller killed, frozen, throttled and cut off in the
// middle of its work, and checks that no address is ever given twice, that none
// is lost, and that every Service is served or told why not.
package chaos
