//go:build linux

package l2

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// linkBuffer holds the events of some thousands of interfaces that change at
// once, as when a node's pods start.
const linkBuffer = 4 << 20

// relistPause lets a storm of events pass before everything is listed again.
const relistPause = 100 * time.Millisecond

// watchLinks calls changed with all interfaces, sorted by index, once at the
// beginning and then whenever something about one of them has changed; those that
// are not usable are reserved. It returns nil when ctx ends, or an error if the
// kernel refuses to tell.
//
// The interfaces are those of the network namespace of the calling thread, which
// has to be locked unless all threads share it. usable is asked by name, and
// never about loopback, interfaces without ARP, or parts of a bridge or bond.
func watchLinks(ctx context.Context, usable func(name string) bool, changed func([]link)) error {
	w := linkWatch{usable: usable, changed: changed}
	for {
		err := w.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, errListChanged) && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("watching interfaces: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(relistPause):
		}
	}
}

type linkWatch struct {
	usable  func(string) bool
	changed func([]link)
	table   linkTable
	told    []link // nil before the first time
}

// errListChanged: the list may lack something that changed meanwhile.
var errListChanged = errors.New("the list of interfaces changed while it was made")

// follow lists what there is, and follows its changes until something fails:
// with ENOBUFS if events were lost.
func (w *linkWatch) follow(ctx context.Context) error {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return err
	}
	defer socket.Close()
	defer context.AfterFunc(ctx, socket.Close)()
	if socket.SetReceiveBufferSize(linkBuffer, true) != nil {
		// Less room only means that lists are made more often.
		_ = socket.SetReceiveBufferSize(linkBuffer, false)
	}
	// One socket carries lists and events, so that they come in their order.
	w.table = linkTable{usable: w.usable, states: map[int32]*linkState{}}
	for _, kind := range []int{unix.RTM_GETLINK, unix.RTM_GETADDR} {
		if err := w.list(socket, kind); err != nil {
			return err
		}
	}
	w.tell()
	for {
		messages, _, err := socket.Receive()
		if err != nil {
			return err
		}
		if w.table.apply(messages) {
			w.tell()
		}
	}
}

// list asks for all objects of a kind and takes in what comes until the end of
// the list.
func (w *linkWatch) list(socket *nl.NetlinkSocket, kind int) error {
	ask := nl.NewNetlinkRequest(kind, unix.NLM_F_DUMP)
	ask.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	// Not by socket.Send: it addresses the groups that the socket hears as well,
	// which takes CAP_NET_ADMIN.
	if err := unix.Sendto(socket.GetFd(), ask.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	for {
		messages, _, err := socket.Receive()
		if err != nil {
			return err
		}
		w.table.apply(messages)
		for _, m := range messages {
			switch {
			case m.Header.Flags&unix.NLM_F_DUMP_INTR != 0:
				return errListChanged
			case m.Header.Type == unix.NLMSG_ERROR:
				return messageError(m.Data)
			case m.Header.Type == unix.NLMSG_DONE && m.Header.Seq == ask.Seq:
				return nil
			}
		}
	}
}

func messageError(data []byte) error {
	if len(data) < 4 {
		return unix.EBADMSG
	}
	return syscall.Errno(-int32(binary.NativeEndian.Uint32(data)))
}

// tell passes on the interfaces if they are others than before.
func (w *linkWatch) tell() {
	links := w.table.links()
	if w.told != nil && slices.EqualFunc(links, w.told, link.equal) {
		return
	}
	w.told = links
	w.changed(slices.Clone(links))
}
