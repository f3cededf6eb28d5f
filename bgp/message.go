//go:build linux

package bgp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

const (
	headerLength = bgp.BGP_HEADER_LENGTH
	// maxMessage is the length of the longest message (RFC 4271 section 4).
	// Longer ones (RFC 8654) are of no use here, and nobody is told otherwise.
	maxMessage = bgp.BGP_MAX_MESSAGE_LENGTH
)

// marker is what every message begins with (RFC 4271 section 4.1).
var marker = bytes.Repeat([]byte{0xff}, 16)

// lengths are those that each type may have (RFC 4271 section 6.1, RFC 7313
// section 5).
var lengths = map[uint8]struct{ least, most int }{
	bgp.BGP_MSG_OPEN:          {headerLength + 10, maxMessage},
	bgp.BGP_MSG_UPDATE:        {headerLength + 4, maxMessage},
	bgp.BGP_MSG_NOTIFICATION:  {headerLength + 2, maxMessage},
	bgp.BGP_MSG_KEEPALIVE:     {headerLength, headerLength},
	bgp.BGP_MSG_ROUTE_REFRESH: {headerLength + 4, headerLength + 4},
}

// message is one that came from a router.
type message struct {
	kind uint8
	// body is empty for UPDATE: nothing in there is of use here.
	body []byte
}

// reader takes messages from a connection. It never keeps more than its buffer.
type reader struct {
	in *bufio.Reader
}

func newReader(r io.Reader) reader { return reader{bufio.NewReaderSize(r, maxMessage)} }

// next returns the next message, whose body is good until the one after it is
// asked for. An error is a violation, or that of the connection.
func (r reader) next() (message, error) {
	header, err := r.in.Peek(headerLength)
	if err != nil {
		return message{}, err
	}
	kind, length, err := parseHeader(header)
	if err != nil {
		return message{}, err
	}
	if kind == bgp.BGP_MSG_UPDATE {
		_, err := r.in.Discard(length)
		return message{kind: kind}, err
	}
	whole, err := r.in.Peek(length)
	if err != nil {
		return message{}, err
	}
	_, err = r.in.Discard(length)
	return message{kind, whole[headerLength:]}, err
}

// violation is something that is not BGP.
type violation struct {
	notification
	what string
}

func (v *violation) Error() string { return v.what }

// parseHeader reads the first bytes of a message (RFC 4271 section 6.1).
func parseHeader(header []byte) (kind uint8, length int, err error) {
	bad := func(subcode uint8, data []byte, format string, args ...any) error {
		return &violation{notification{bgp.BGP_ERROR_MESSAGE_HEADER_ERROR, subcode, data}, fmt.Sprintf(format, args...)}
	}
	kind, length = header[18], int(binary.BigEndian.Uint16(header[16:]))
	allowed, known := lengths[kind]
	switch {
	case !bytes.Equal(header[:16], marker):
		return 0, 0, bad(bgp.BGP_ERROR_SUB_CONNECTION_NOT_SYNCHRONIZED, nil, "a message that begins with %s", quoted(string(header)))
	case length < headerLength || length > maxMessage:
		return 0, 0, bad(bgp.BGP_ERROR_SUB_BAD_MESSAGE_LENGTH, bytes.Clone(header[16:18]), "a message of %d bytes", length)
	case !known:
		return 0, 0, bad(bgp.BGP_ERROR_SUB_BAD_MESSAGE_TYPE, bytes.Clone(header[18:19]), "a message of type %d", kind)
	case length < allowed.least || length > allowed.most:
		return 0, 0, bad(bgp.BGP_ERROR_SUB_BAD_MESSAGE_LENGTH, bytes.Clone(header[16:18]), "a message of type %d and %d bytes", kind, length)
	}
	return kind, length, nil
}

// frame puts the header before a body.
func frame(kind uint8, body []byte) []byte {
	m := append(make([]byte, 0, headerLength+len(body)), marker...)
	m = binary.BigEndian.AppendUint16(m, uint16(headerLength+len(body)))
	return append(append(m, kind), body...)
}

var keepalive = frame(bgp.BGP_MSG_KEEPALIVE, nil)
