package grpcapi

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/net/http2"
)

// told writes down what frames tell of bytes that come in pieces of this size. Data of one
// stream that follows on each other is one event.
func told(b []byte, size, preface int) (events []string) {
	var data []byte
	var of uint32
	flush := func() {
		if of != 0 {
			events = append(events, fmt.Sprintf("data of %d: %x", of, data))
		}
		of, data = 0, nil
	}
	f := frames{
		preface: preface,
		opened: func(stream uint32, last bool) {
			flush()
			events = append(events, fmt.Sprintf("opened %d %t", stream, last))
		},
		data: func(stream uint32, piece []byte) {
			if stream != of {
				flush()
			}
			of, data = stream, append(data, piece...)
		},
		ended: func(stream uint32) {
			flush()
			events = append(events, fmt.Sprintf("ended %d", stream))
		},
		reset: func(stream uint32) {
			flush()
			events = append(events, fmt.Sprintf("reset %d", stream))
		},
	}
	for rest := b; len(rest) > 0; rest = rest[min(size, len(rest)):] {
		f.follow(rest[:min(size, len(rest))])
	}
	flush()
	return events
}

func TestFrames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		write func(f *http2.Framer) error
		want  []string
	}{
		{"settings", func(f *http2.Framer) error { return f.WriteSettings(http2.Setting{ID: 1, Val: 2}) }, nil},
		{"headers", func(f *http2.Framer) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("block"), EndHeaders: true})
		}, []string{"opened 1 false"}},
		{"last headers", func(f *http2.Framer) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, EndHeaders: true, EndStream: true, PadLength: 9})
		}, []string{"opened 3 true"}},
		{"data", func(f *http2.Framer) error { return f.WriteData(5, false, []byte{1, 2}) }, []string{"data of 5: 0102"}},
		{"last data", func(f *http2.Framer) error { return f.WriteData(5, true, []byte{1}) }, []string{"data of 5: 01", "ended 5"}},
		{"nothing but the end", func(f *http2.Framer) error { return f.WriteData(5, true, nil) }, []string{"ended 5"}},
		{"padded data", func(f *http2.Framer) error { return f.WriteDataPadded(5, true, []byte{1, 2}, make([]byte, 7)) }, []string{"data of 5: 0102", "ended 5"}},
		{"nothing but padding", func(f *http2.Framer) error { return f.WriteDataPadded(5, false, nil, make([]byte, 7)) }, nil},
		{"more padding than data", func(f *http2.Framer) error {
			return f.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 5, []byte{9, 1, 2})
		}, nil},
		{"reset", func(f *http2.Framer) error { return f.WriteRSTStream(7, http2.ErrCodeCancel) }, []string{"reset 7"}},
		{"unknown", func(f *http2.Framer) error { return f.WriteRawFrame(0x77, 0xff, 7, make([]byte, 50)) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var all bytes.Buffer
			all.WriteString(http2.ClientPreface)
			framer := http2.NewFramer(&all, nil)
			framer.AllowIllegalWrites = true
			if err := c.write(framer); err != nil {
				t.Fatal(err)
			}
			if err := framer.WriteData(9, true, []byte{0xff}); err != nil { // finds out whether the end was found
				t.Fatal(err)
			}
			want := append(slices.Clone(c.want), "data of 9: ff", "ended 9")
			for _, size := range []int{1, 2, 10, 1 << 20} {
				if got := told(all.Bytes(), size, prefaceSize); !slices.Equal(got, want) {
					t.Errorf("in pieces of %d: got %q, want %q", size, got, want)
				}
			}
		})
	}
}

// TestFramesBetween: nothing may be put between the headers of one list.
func TestFramesBetween(t *testing.T) {
	t.Parallel()
	nothing := func(uint32) {}
	f := frames{opened: func(uint32, bool) {}, ended: nothing, reset: nothing, data: func(uint32, []byte) {}}
	var all bytes.Buffer
	framer := http2.NewFramer(&all, nil)
	for _, c := range []struct {
		name  string
		write func() error
		want  bool
	}{
		{"headers that go on", func() error { return framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1}) }, false},
		{"and on", func() error { return framer.WriteContinuation(1, false, []byte("a")) }, false},
		{"and end", func() error { return framer.WriteContinuation(1, true, nil) }, true},
		{"data", func() error { return framer.WriteData(1, false, []byte("a")) }, true},
	} {
		all.Reset()
		if err := c.write(); err != nil {
			t.Fatal(err)
		}
		f.follow(all.Bytes()[:5])
		if f.between() {
			t.Errorf("%s: another frame could stand within the head", c.name)
		}
		f.follow(all.Bytes()[5:])
		if got := f.between(); got != c.want {
			t.Errorf("after %s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// TestBrokenFrame: whoever reads the frame breaks its stream off, and not the connection.
func TestBrokenFrame(t *testing.T) {
	t.Parallel()
	_, err := http2.NewFramer(nil, bytes.NewReader(brokenFrame(7))).ReadFrame()
	if stream, ok := err.(http2.StreamError); !ok || stream.StreamID != 7 {
		t.Errorf("got %v, want an error of stream 7", err)
	}
}

// FuzzFrames: what frames tell does not depend on how the bytes come.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0, 0, 2, 0, 1, 0, 0, 0, 5, 1, 2}, 3)
	f.Add([]byte{0, 0, 3, 0, 9, 0, 0, 0, 5, 1, 2, 3}, 1)
	f.Add([]byte{0, 0, 1, 1, 4, 0, 0, 0, 5, 1, 0, 0, 4, 3, 0, 0, 0, 0, 5, 0, 0, 0, 0}, 2)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		if whole, pieces := told(b, len(b)+1, 0), told(b, max(size%100, 1), 0); !slices.Equal(whole, pieces) {
			t.Fatalf("as a whole %q, in pieces %q", whole, pieces)
		}
	})
}
