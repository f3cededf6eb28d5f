//go:build linux

package bgp

import (
	"fmt"
	"strconv"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// ceaseBFDDown is a subcode of Cease that the codec does not have (RFC 9384).
const ceaseBFDDown = 10

// notification is the reason that one end gives the other for hanging up (RFC
// 4271 section 4.5).
type notification struct {
	code, subcode uint8
	data          []byte
}

// cease is for an end that nobody is to blame for.
func cease(subcode uint8) *notification {
	return &notification{code: bgp.BGP_ERROR_CEASE, subcode: subcode}
}

// parseNotification reads the body of a message, which has two bytes or more.
func parseNotification(body []byte) notification {
	return notification{body[0], body[1], body[2:]}
}

func (n notification) message() []byte {
	return frame(bgp.BGP_MSG_NOTIFICATION, append([]byte{n.code, n.subcode}, n.data...))
}

// communication is the text of a shutdown (RFC 9003), from the router and not to
// be trusted.
func (n notification) communication() string {
	stopped := n.subcode == bgp.BGP_ERROR_SUB_ADMINISTRATIVE_SHUTDOWN || n.subcode == bgp.BGP_ERROR_SUB_ADMINISTRATIVE_RESET
	if n.code != bgp.BGP_ERROR_CEASE || !stopped || len(n.data) == 0 {
		return ""
	}
	return string(n.data[1:min(1+int(n.data[0]), len(n.data))])
}

// The names of codes, and of the subcodes of OPEN errors (RFC 4271 section 4.5,
// RFC 5492) and of Cease (RFC 4486, RFC 8538, RFC 9384).
var (
	codeNames = map[uint8]string{
		1: "message header error", 2: "OPEN message error", 3: "UPDATE message error",
		4: "hold timer expired", 5: "finite state machine error", 6: "Cease", 7: "ROUTE-REFRESH message error",
		8: "send hold timer expired",
	}
	openNames = map[uint8]string{
		1: "unsupported version number", 2: "bad peer AS", 3: "bad BGP identifier",
		4: "unsupported optional parameter", 6: "unacceptable hold time", 7: "unsupported capability",
	}
	ceaseNames = map[uint8]string{
		1: "maximum number of prefixes reached", 2: "administrative shutdown", 3: "peer de-configured",
		4: "administrative reset", 5: "connection rejected", 6: "other configuration change",
		7: "connection collision resolution", 8: "out of resources", 9: "hard reset", 10: "BFD down",
	}
)

func codeName(code, subcode uint8) string {
	name, ok := codeNames[code]
	if !ok {
		return fmt.Sprintf("error %d/%d", code, subcode)
	}
	sub := map[uint8]map[uint8]string{2: openNames, 6: ceaseNames}[code][subcode]
	if sub == "" && subcode != 0 {
		sub = strconv.Itoa(int(subcode))
	}
	if sub == "" {
		return name
	}
	return name + ", " + sub
}
