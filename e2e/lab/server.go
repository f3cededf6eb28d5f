//go:build linux

package lab

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
)

// clientHeader of an HTTP answer is the address that the pod saw the request
// come from.
const clientHeader = "Berth-Lab-Client"

// servePod is what a pod does: each answer begins with its name. It returns
// when it can't go on.
func servePod(name string) error {
	lines, err := net.Listen("tcp", fmt.Sprintf(":%d", EchoPort))
	if err != nil {
		return err
	}
	datagrams, err := net.ListenPacket("udp", fmt.Sprintf(":%d", EchoPort))
	if err != nil {
		return err
	}
	ended := make(chan error)
	go func() { ended <- serveLines(lines, name) }()
	go func() { ended <- serveDatagrams(datagrams.(*net.UDPConn), name) }()
	go func() { ended <- http.ListenAndServe(fmt.Sprintf(":%d", HTTPPort), page(name)) }()
	return <-ended
}

func page(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(clientHeader, r.RemoteAddr)
		fmt.Fprintln(w, name)
	})
}

// serveLines says its name to who connects, and before every line that it
// gives back.
func serveLines(ln net.Listener, name string) error {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go answerLines(conn, name)
	}
}

func answerLines(conn net.Conn, name string) {
	defer conn.Close()
	if _, err := fmt.Fprintln(conn, name); err != nil {
		return
	}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if _, err := fmt.Fprintf(conn, "%s %s\n", name, lines.Bytes()); err != nil {
			return
		}
	}
}

// serveDatagrams gives back each datagram, behind its name and a space.
func serveDatagrams(conn *net.UDPConn, name string) error {
	_ = conn.SetReadBuffer(4 << 20)
	buffer := make([]byte, 2048)
	start := copy(buffer, name+" ")
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buffer[start:])
		if err != nil {
			return err
		}
		// The way back may be gone for a moment: the client will notice.
		_, _ = conn.WriteToUDPAddrPort(buffer[:start+n], from)
	}
}
