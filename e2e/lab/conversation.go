//go:build linux

package lab

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Conversation is one TCP connection with a pod, and questions over it.
type Conversation struct {
	// Pod is who is at the other end.
	Pod string

	conn   net.Conn
	lines  *bufio.Reader
	record recorder
	every  time.Duration

	cancel  context.CancelCauseFunc
	ctx     context.Context
	sending sync.WaitGroup
	hearing sync.WaitGroup
	once    sync.Once
	trace   Trace
	err     error
}

// Converse connects to an echo server and sends it a line at that pace, until
// Stop. The ctx bounds the start only.
func (s *Station) Converse(ctx context.Context, to netip.AddrPort, every time.Duration) (*Conversation, error) {
	conn, err := s.Dial(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	c := &Conversation{conn: conn, lines: bufio.NewReader(conn), every: every}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetReadDeadline(deadline)
	}
	greeting, err := c.lines.ReadString('\n')
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("waiting for the greeting of %s: %w", to, err)
	}
	_ = conn.SetReadDeadline(time.Time{})
	c.Pod = strings.TrimSpace(greeting)
	c.record.began = time.Now()
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.sending.Go(c.send)
	c.hearing.Go(c.hear)
	return c, nil
}

func (c *Conversation) send() {
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		if _, err := fmt.Fprintln(c.conn, c.record.ask()); err != nil {
			c.cancel(err)
		}
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return
		}
	}
}

func (c *Conversation) hear() {
	for {
		line, err := c.lines.ReadString('\n')
		if err != nil {
			c.cancel(err)
			return
		}
		pod, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if number, err := strconv.Atoi(rest); err == nil {
			c.record.answer(number, pod)
		}
	}
}

// Progress is how the conversation does.
func (c *Conversation) Progress() Progress { return c.record.progress() }

// Stop asks no more, waits a little for late answers, and closes the
// connection. The error is what broke it, if anything did.
func (c *Conversation) Stop() (Trace, error) {
	c.once.Do(func() {
		c.cancel(context.Canceled)
		// A write that is stuck is not worth waiting for; one that is about to
		// begin was counted as a question already.
		_ = c.conn.SetWriteDeadline(time.Now().Add(lateAnswers))
		c.sending.Wait()
		length := time.Since(c.record.began)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(lateAnswers); c.record.missing(lateAnswers) && time.Now().Before(deadline); {
			<-tick.C
		}
		if cause := context.Cause(c.ctx); cause != context.Canceled {
			c.err = fmt.Errorf("the connection with %s broke: %w", c.Pod, cause)
		}
		c.conn.Close()
		c.hearing.Wait()
		c.trace = c.record.trace(length)
	})
	return c.trace, c.err
}
