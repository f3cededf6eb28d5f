// Package bfd holds tests of Berth's BFD against other implementations: FRR's
// bfdd, and the codec of gopacket.
package bfd
