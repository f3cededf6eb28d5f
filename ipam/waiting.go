package ipam

import (
	"net/netip"
	"slices"
)

// queue is a heap of those who wait for one thing, the oldest on top.
type queue []*ticket

// ticket is the place of a client in a queue.
type ticket struct {
	client *client
	queue  *queue
	place  int
}

func (q *queue) push(t *ticket) {
	t.queue, t.place = q, len(*q)
	*q = append(*q, t)
	q.up(t.place)
}

func (q *queue) remove(t *ticket) {
	last := len(*q) - 1
	i := t.place
	q.swap(i, last)
	(*q)[last] = nil
	*q = (*q)[:last]
	if i < last {
		q.down(i)
		q.up(i)
	}
}

func (q queue) up(i int) {
	for i > 0 && q.less(i, (i-1)/2) {
		q.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (q queue) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(q) {
			return
		}
		if child+1 < len(q) && q.less(child+1, child) {
			child++
		}
		if !q.less(child, i) {
			return
		}
		q.swap(i, child)
		i = child
	}
}

func (q queue) less(i, j int) bool { return Older(&q[i].client.req, &q[j].client.req) < 0 }

func (q queue) swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// waiters finds who waits for what.
type waiters struct {
	// What they asked for: whom a change of pools concerns.
	anyPool   queue
	namedPool map[string]*queue
	addressed queue

	// What would serve them; the exhausted pools have queues of their own.
	address map[netip.Addr]*queue
	key     map[string]*queue

	due     queue    // who is to be asked again
	stirred []*stock // whose oldest waiter is to be asked again
	spare   []*ticket
}

func newWaiters() waiters {
	return waiters{
		namedPool: make(map[string]*queue),
		address:   make(map[netip.Addr]*queue),
		key:       make(map[string]*queue),
	}
}

func (w *waiters) join(q *queue, c *client) {
	t := &ticket{}
	if n := len(w.spare); n > 0 {
		t, w.spare = w.spare[n-1], w.spare[:n-1]
	}
	t.client = c
	c.tickets = append(c.tickets, t)
	q.push(t)
}

// wait puts c in the queues of what it asks for and of what would serve it.
func (w *waiters) wait(c *client, v *verdict) {
	c.waiting = true
	switch r := &c.req; {
	case len(r.Addresses) > 0:
		w.join(&w.addressed, c)
	case r.Pool != "":
		w.join(queueOf(w.namedPool, r.Pool), c)
	default:
		w.join(&w.anyPool, c)
	}
	if v.address.IsValid() {
		w.join(queueOf(w.address, v.address), c)
	}
	for _, p := range v.sources {
		w.join(&p.stock(v.why.Family).waiting, c)
	}
	if c.req.SharingKey != "" && len(v.sources) > 0 {
		w.join(queueOf(w.key, c.req.SharingKey), c)
	}
}

// leave takes c out of all queues.
func (w *waiters) leave(c *client) {
	for i, t := range c.tickets {
		t.queue.remove(t)
		*t = ticket{}
		w.spare = append(w.spare, t)
		c.tickets[i] = nil
	}
	c.tickets = c.tickets[:0]
	c.waiting, c.due = false, false
	discard(w.namedPool, c.req.Pool)
	discard(w.key, c.req.SharingKey)
	for _, x := range c.req.Addresses {
		discard(w.address, x)
	}
}

func queueOf[K comparable](queues map[K]*queue, key K) *queue {
	q := queues[key]
	if q == nil {
		q = &queue{}
		queues[key] = q
	}
	return q
}

func discard[K comparable](queues map[K]*queue, key K) {
	if q := queues[key]; q != nil && len(*q) == 0 {
		delete(queues, key)
	}
}

// ask has c asked again. That it waits is for the caller to know.
func (w *waiters) ask(c *client) {
	if !c.due {
		c.due = true
		w.join(&w.due, c)
	}
}

// stir has the oldest of those who wait for s asked, and the next while there
// are free addresses.
func (w *waiters) stir(s *stock) {
	if !s.stirred && len(s.waiting) > 0 {
		s.stirred = true
		w.stirred = append(w.stirred, s)
	}
}

// freed tells of an address that nobody uses any longer.
func (w *waiters) freed(s *slot) {
	if p := s.pool(); p != nil {
		w.stir(p.stock(FamilyOf(s.addr)))
	}
	w.askAll(w.address[s.addr])
}

// changed tells of an address whose holders, or what they ask for, changed.
func (w *waiters) changed(s *slot) {
	w.askAll(w.address[s.addr])
	for _, h := range s.holders {
		if h.waiting && h.lease(s).retiring {
			w.ask(h)
		}
	}
	if q := w.key[s.key]; q != nil && s.key != "" {
		for _, t := range *q {
			if rule, _, _ := s.clash(t.client); rule == RuleNone {
				w.ask(t.client)
			}
		}
	}
}

func (w *waiters) askAll(q *queue) {
	if q == nil {
		return
	}
	for _, t := range *q {
		w.ask(t.client)
	}
}

// next returns the oldest of those who are to be asked again, or nil.
func (w *waiters) next() *client {
	var oldest *client
	if len(w.due) > 0 {
		oldest = w.due[0].client
	}
	w.stirred = slices.DeleteFunc(w.stirred, func(s *stock) bool {
		if _, free := s.lowest(); !free || len(s.waiting) == 0 {
			s.stirred = false
			return true
		}
		return false
	})
	for _, s := range w.stirred {
		if c := s.waiting[0].client; oldest == nil || Older(&c.req, &oldest.req) < 0 {
			oldest = c
		}
	}
	return oldest
}
