// Package l2 has addresses announced at layer 2 by real speakers in a lab, and
// looks through the eyes of clients at what becomes of them when nodes,
// speakers, cables, pods and the API server come and go.
package l2
