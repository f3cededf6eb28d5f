// Package bgp has addresses announced to routers by real speakers in a lab, and
// looks at the routers' own tables, and through the eyes of clients behind
// them, at what becomes of that when nodes, speakers, routers and pods come and
// go.
package bgp
