package load

import (
	"bytes"
	"fmt"
	"net/http"
	"sync"
)

// office publishes the events of a run: one by one, each caller over a connection of its
// own, or many in a call for all callers together.
type office struct {
	request Request
	at      int // where the id stands in the body

	parcels chan parcel // nil where events go one by one
	done    sync.WaitGroup
}

// parcel is an event that is to be published, and where it is said how that went.
type parcel struct {
	id   string
	sent chan error
}

const (
	// bulkCalls are under way at once: while one is answered, the next is filled.
	bulkCalls = 2
	// mostInCall bounds the events of a call, as Dapr bounds its own bulks.
	mostInCall = 100
)

func newOffice(r Request, at int) *office {
	o := &office{request: r, at: at}
	if r.Bulk {
		o.parcels = make(chan parcel, mostInCall)
		for range bulkCalls {
			o.done.Go(o.bulk)
		}
	}
	return o
}

// close ends the calls; no sender may be in use any more.
func (o *office) close() {
	if o.parcels != nil {
		close(o.parcels)
	}
	o.done.Wait()
}

// sender gives one for one caller.
func (o *office) sender() sender {
	if o.parcels != nil {
		return queue(o.parcels)
	}
	c := newHTTPClient(o.request)
	return &single{httpClient: c, at: len(c.bytes) - len(o.request.Body) + o.at}
}

// single publishes one event in a call.
type single struct {
	*httpClient

	at int // where the id stands among the bytes
}

func (s *single) send(id string) <-chan error {
	copy(s.bytes[s.at:], id)
	sent := make(chan error, 1)
	sent <- s.publish()
	return sent
}

// publish sends the bytes of a call.
func (c *httpClient) publish() error {
	status, err := c.exchange()
	if err != nil {
		c.close()
		return err
	}
	if status != http.StatusNoContent {
		return fmt.Errorf("status %d", status)
	}
	return nil
}

// queue publishes an event with others.
type queue chan<- parcel

func (queue) close() {}

func (q queue) send(id string) <-chan error {
	sent := make(chan error, 1)
	q <- parcel{id, sent}
	return sent
}

// bulk publishes what there is, as much at once as there is.
func (o *office) bulk() {
	c := newHTTPClient(o.request)
	defer c.close()
	for first := range o.parcels {
		parcels := append(o.waiting(mostInCall-1), first)
		r := o.request
		r.Body = o.entries(parcels)
		c.bytes = requestBytes(r)
		err := c.publish()
		for _, p := range parcels {
			p.sent <- err
		}
	}
}

// waiting takes what waits, and waits for nothing.
func (o *office) waiting(most int) (parcels []parcel) {
	for len(parcels) < most {
		select {
		case p, ok := <-o.parcels:
			if !ok {
				return parcels
			}
			parcels = append(parcels, p)
		default:
			return parcels
		}
	}
	return parcels
}

// entries makes the body of a bulk call:
// https://docs.dapr.io/reference/api/pubsub_api/#publish-multiple-messages-to-a-given-topic.
func (o *office) entries(parcels []parcel) []byte {
	var b bytes.Buffer
	for i, p := range parcels {
		separator := byte(',')
		if i == 0 {
			separator = '['
		}
		b.WriteByte(separator)
		fmt.Fprintf(&b, `{"entryId":"%d","contentType":"application/cloudevents+json","event":`, i)
		b.Write(o.request.Body[:o.at])
		b.WriteString(p.id)
		b.Write(o.request.Body[o.at+len(p.id):])
		b.WriteByte('}')
	}
	b.WriteByte(']')
	return b.Bytes()
}
