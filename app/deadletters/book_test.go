package deadletters_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/deadletters"
	"github.com/onda-serving/onda/app/scoring"
)

func TestDeliveredTwiceIsOneLetter(t *testing.T) {
	t.Parallel()
	r := newRig()
	body := refused("NotFound", "shop", "7", original("shop", "7"))
	r.deliver(t, body, "SUCCESS")
	r.pass(time.Minute)
	r.deliver(t, body, "SUCCESS")
	l := r.only(t)
	if !l.At.Equal(start) || l.Code != "NotFound" || string(l.Original) != original("shop", "7") {
		t.Errorf("got %+v, want the first one", l)
	}
	if r.entries() != 1 {
		t.Errorf("got %d entries, want one", r.entries())
	}
	if seen := r.counter.text(); seen != "kept repeated" {
		t.Errorf("counted %q", seen)
	}
	if strings.Contains(r.log.String(), "instances") || !strings.Contains(r.log.String(), l.ID) {
		t.Errorf("logged %s", r.log.String())
	}
}

// TestGivenUp: who waits for an event hears that the sidecar gave it up, and not of what Onda
// refused, which it has answered.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	r := newRig()
	var told []string
	var fault error
	r.GivenUp = func(_ context.Context, original []byte) error {
		told = append(told, string(original))
		return fault
	}
	r.deliver(t, refused("NotFound", "shop", "7", original("shop", "7")), "SUCCESS")
	r.deliver(t, "no event", "SUCCESS")
	fault = errors.New("gone")
	r.deliver(t, original("shop", "8"), "RETRY")
	fault = nil
	r.deliver(t, original("shop", "8"), "SUCCESS")
	if want := original("shop", "8"); !slices.Equal(told, []string{want, want}) {
		t.Errorf("told of %q", told)
	}
	if r.entries() != 3 {
		t.Errorf("got %d entries, want three", r.entries())
	}
}

// TestSameIDsOfOtherEvents: a sender that counts from 1 again sends other events.
func TestSameIDsOfOtherEvents(t *testing.T) {
	t.Parallel()
	r := newRig()
	first := original("shop", "1", `,"data":{"a":1,"b":"<"}`)
	r.deliver(t, refused("NotFound", "shop", "1", first), "SUCCESS")
	// The same, written in another way, by the sidecar.
	r.deliver(t, `{"data": {"b": "\u003c", "a": 1}, "subject": "faq", "traceid": "x", "source": "shop", "id": "1", "specversion": "1.0"}`, "SUCCESS")
	if got := r.ids(t, deadletters.Filter{}); got != "1" {
		t.Errorf("got %q, want one letter", got)
	}
	for _, more := range []string{`,"data":{"a":2}`, `,"data":{"a":2.0}`, `,"data_base64":"eA=="`, `,"dataref":"azblob://x/y"`, `,"datacontenttype":"text/plain","data":{"a":2}`} {
		r.deliver(t, refused("Conflict", "shop", "1", original("shop", "1", more)), "SUCCESS")
	}
	if got := r.ids(t, deadletters.Filter{}); got != "1 1 1 1 1 1" {
		t.Errorf("got %q, want six letters", got)
	}
}

// TestDeliveredMuchLater finds the entry in whatever segment it is.
func TestDeliveredMuchLater(t *testing.T) {
	t.Parallel()
	r := newRig()
	for i := range 300 {
		r.deliver(t, original("shop", strconv.Itoa(i)), "SUCCESS")
	}
	for i := range 300 {
		r.deliver(t, original("shop", strconv.Itoa(i)), "SUCCESS")
	}
	if r.entries() != 300 {
		t.Errorf("got %d entries, want 300", r.entries())
	}
}

// TestDeliveredTwiceAtOnce has another replica keep the same letter between the writes of one.
func TestDeliveredTwiceAtOnce(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"deadletter:letter:", "deadletter:segment:", "deadletter:index"} {
		r := newRig()
		body := []byte(original("shop", "7"))
		r.faster(prefix, func() {
			if status := r.other().Deliver(t.Context(), body); status != "SUCCESS" {
				t.Errorf("%s: the faster one got %s", prefix, status)
			}
		})
		r.deliver(t, string(body), "SUCCESS")
		r.deliver(t, string(body), "SUCCESS")
		if r.only(t); r.entries() != 1 {
			t.Errorf("%s: got %d entries, want one", prefix, r.entries())
		}
	}
}

// TestEntryThatIsThereTwice is listed once.
func TestEntryThatIsThereTwice(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.deliver(t, original("shop", "7"), "SUCCESS")
	d := r.store.documents["deadletter:segment:1"]
	from, to := strings.Index(d.text, "[")+1, strings.Index(d.text, "]")
	d.text = d.text[:to] + "," + d.text[from:to] + d.text[to:]
	r.store.documents["deadletter:segment:1"] = d
	if got := r.ids(t, deadletters.Filter{}); got != "7" || r.entries() != 2 {
		t.Errorf("got %q of %d entries, want one of two", got, r.entries())
	}
}

// TestDeliveredAfterItsEnd is a letter that is kept anew, while its old entry is still there.
func TestDeliveredAfterItsEnd(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.deliver(t, original("shop", "7"), "SUCCESS")
	r.pass(ttl - time.Hour)
	r.deliver(t, original("shop", "8"), "SUCCESS")
	r.pass(2 * time.Hour)
	r.deliver(t, original("shop", "7"), "SUCCESS")
	if got := r.ids(t, deadletters.Filter{}); got != "7 8" || r.entries() != 3 {
		t.Errorf("got %q of %d entries, want 7 8 of three", got, r.entries())
	}
	page, err := r.List(t.Context(), deadletters.Filter{}, 2, "")
	if err != nil || page.Cursor == "" {
		t.Fatalf("got %+v, %v", page, err)
	}
	if page, err = r.List(t.Context(), deadletters.Filter{}, 2, page.Cursor); err != nil || len(page.Letters) != 0 {
		t.Errorf("got %+v, %v, want nothing more", page, err)
	}
}

// TestEveryWriteCanFail has the n-th write fail, made or not, and delivers again.
func TestEveryWriteCanFail(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 3; n++ {
		for _, made := range []bool{false, true} {
			t.Run(fmt.Sprintf("write %d, made %t", n, made), func(t *testing.T) {
				t.Parallel()
				r := newRig()
				r.store.fault = func(i int, _ string) (error, bool) {
					if i == n {
						return errGone, made
					}
					return nil, false
				}
				body := refused("NotFound", "shop", "7", original("shop", "7"))
				r.deliver(t, body, "RETRY")
				r.Book = r.other() // another replica may be the next
				r.deliver(t, body, "SUCCESS")
				r.deliver(t, body, "SUCCESS")
				if l := r.only(t); l.RequestID != "7" {
					t.Errorf("got %+v", l)
				}
				if n := strings.Count(r.store.documents["deadletter:segment:1"].text, `"id"`); n != 1 {
					t.Errorf("got %d entries, want one", n)
				}
				if seen := r.counter.text(); !strings.HasPrefix(seen, "retry ") || strings.Count(seen, "retry") != 1 {
					t.Errorf("counted %q", seen)
				}
			})
		}
	}
}

// TestSegmentThatTheHeadDoesNotName was begun by somebody who got no further.
func TestSegmentThatTheHeadDoesNotName(t *testing.T) {
	t.Parallel()
	r := newRig()
	for i := range 256 {
		r.deliver(t, original("shop", strconv.Itoa(i)), "SUCCESS")
	}
	lost := false
	r.store.fault = func(_ int, key string) (error, bool) {
		if key == "deadletter:index" && !lost {
			lost = true
			return errGone, false
		}
		return nil, false
	}
	r.deliver(t, original("shop", "lost"), "RETRY")
	if got := r.ids(t, deadletters.Filter{}); !strings.HasPrefix(got, "lost 255 254 ") {
		t.Errorf("got %.30s, want the lost one first", got)
	}
	r.deliver(t, original("shop", "next"), "SUCCESS")
	r.deliver(t, original("shop", "lost"), "SUCCESS")
	if got := r.ids(t, deadletters.Filter{}); !strings.HasPrefix(got, "next lost 255 254 ") {
		t.Errorf("got %.30s, want each once", got)
	}
}

// TestManyAtOnce has four replicas keep 500 letters, each delivered twice, while the store
// loses answers.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.store.fault = func(n int, _ string) (error, bool) {
		if n%23 == 0 {
			return errGone, n%2 == 0
		}
		return nil, false
	}
	const replicas, each = 4, 125
	var group sync.WaitGroup
	for replica := range replicas {
		book := r.other()
		group.Go(func() {
			for i := range each {
				body := []byte(original("shop", fmt.Sprintf("%d-%d", replica, i)))
				for delivered := 0; delivered < 2; {
					if book.Deliver(t.Context(), body) == "SUCCESS" {
						delivered++
					}
				}
			}
		})
	}
	group.Wait()
	seen, cursor, pages := map[string]int{}, "", 0
	for {
		page, err := r.List(t.Context(), deadletters.Filter{}, 77, cursor)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, l := range page.Letters {
			seen[l.RequestID]++
		}
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	if len(seen) != replicas*each || pages != 7 {
		t.Errorf("got %d letters on %d pages, want %d on 7", len(seen), pages, replicas*each)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("letter %s is there %d times", id, n)
		}
	}
	for key, d := range r.store.documents {
		if strings.HasPrefix(key, "deadletter:segment:") && strings.Count(d.text, `"id"`) > 256 {
			t.Errorf("%s has too many entries", key)
		}
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.deliver(t, refused("NotFound", "shop", "1", original("shop", "1")), "SUCCESS")
	r.pass(time.Hour)
	r.deliver(t, refused("Invalid", "shop", "2", strings.Replace(original("shop", "2"), `"faq"`, `"faq/versions/3"`, 1)), "SUCCESS")
	r.pass(time.Hour)
	r.deliver(t, strings.Replace(original("bank", "3"), `"faq"`, `"faq2"`, 1), "SUCCESS")
	if _, err := r.Replay(t.Context(), deadletters.Read([]byte(original("shop", "1"))).ID, false, "ann"); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		filter deadletters.Filter
		want   string
	}{
		{deadletters.Filter{}, "3 2 1"},
		{deadletters.Filter{Code: "NotFound"}, "1"},
		{deadletters.Filter{Code: "Undelivered"}, "3"},
		{deadletters.Filter{Model: "faq"}, "2 1"},
		{deadletters.Filter{Model: "faq/versions/3"}, "2"},
		{deadletters.Filter{Source: "shop"}, "2 1"},
		{deadletters.Filter{Source: "sho"}, ""},
		{deadletters.Filter{State: deadletters.Waiting}, "3 2"},
		{deadletters.Filter{State: deadletters.Replayed}, "1"},
		{deadletters.Filter{State: deadletters.Replaying}, ""},
		{deadletters.Filter{Since: start.Add(time.Hour)}, "3 2"},
		{deadletters.Filter{Until: start.Add(time.Hour)}, "1"},
		{deadletters.Filter{Since: start.Add(time.Minute), Until: start.Add(2 * time.Hour)}, "2"},
		{deadletters.Filter{Source: "shop", State: deadletters.Waiting}, "2"},
	}
	for _, test := range tests {
		if got := r.ids(t, test.filter); got != test.want {
			t.Errorf("%+v: got %q, want %q", test.filter, got, test.want)
		}
	}
	page, err := r.List(t.Context(), deadletters.Filter{}, 3, "")
	if err != nil || slices.ContainsFunc(page.Letters, func(l deadletters.Letter) bool { return l.Original != nil }) {
		t.Errorf("got %+v, %v, want no payloads", page, err)
	}
}

func TestWrongQuestions(t *testing.T) {
	t.Parallel()
	r := newRig()
	list := func(f deadletters.Filter, limit int, cursor string) error {
		_, err := r.List(t.Context(), f, limit, cursor)
		return err
	}
	_, get := r.Get(t.Context(), "../x")
	_, replay := r.Replay(t.Context(), strings.Repeat("A", 32), false, "ann")
	_, none := r.Get(t.Context(), strings.Repeat("a", 32))
	for _, test := range []struct {
		err  error
		want string
	}{
		{list(deadletters.Filter{Code: "Wrong"}, 1, ""), `Invalid: code "Wrong": want one of Undelivered, Invalid, UnsupportedMedia, Unimplemented, TooLarge, Unauthenticated, Denied, NotFound, Conflict, Overloaded, Expired, Canceled, Unavailable, Internal`},
		{list(deadletters.Filter{State: "dead"}, 1, ""), `Invalid: state "dead": want waiting, replaying or replayed`},
		{list(deadletters.Filter{Since: start, Until: start}, 1, ""), "Invalid: since is not before until: nothing is in between"},
		{list(deadletters.Filter{}, 0, ""), "Invalid: limit 0: want 1 to 1000"},
		{list(deadletters.Filter{}, 1001, ""), "Invalid: limit 1001: want 1 to 1000"},
		{list(deadletters.Filter{}, 1, "x"), `Invalid: cursor "x": want the one of the page before`},
		{list(deadletters.Filter{}, 1, "1-257"), `Invalid: cursor "1-257": want the one of the page before`},
		{list(deadletters.Filter{}, 1, "+1-1"), `Invalid: cursor "+1-1": want the one of the page before`},
		{get, `Invalid: dead letter "../x": want its id, 32 hexadecimal digits such as the list has`},
		{replay, `Invalid: dead letter "` + strings.Repeat("A", 32) + `": want its id, 32 hexadecimal digits such as the list has`},
		{none, "NotFound: there is no dead letter " + strings.Repeat("a", 32) + ": it was never kept, or its time is over"},
	} {
		if test.err == nil || test.err.Error() != test.want {
			t.Errorf("got  %v\nwant %s", test.err, test.want)
		}
	}
	if page, err := r.List(t.Context(), deadletters.Filter{}, 10, "999999-12"); err != nil || len(page.Letters) != 0 || page.Cursor != "" {
		t.Errorf("got %+v, %v for a place that is not there", page, err)
	}
}

// TestLettersEnd shows that a letter and its entry end together, and the index goes on.
func TestLettersEnd(t *testing.T) {
	t.Parallel()
	r := newRig()
	for i := range 400 {
		r.deliver(t, original("shop", strconv.Itoa(i)), "SUCCESS")
	}
	const step = 5 * time.Hour
	for i := range 10 {
		r.pass(step)
		r.deliver(t, original("bank", strconv.Itoa(i)), "SUCCESS")
	}
	// 24 hours are kept: the last five, 0 to 20 hours old.
	if got := r.ids(t, deadletters.Filter{}); got != "9 8 7 6 5" {
		t.Errorf("got %q, want the letters of a day", got)
	}
	if head := r.store.documents["deadletter:index"].text; !strings.Contains(head, `"first":2,"last":2`) {
		t.Errorf("got the head %s, want the first segment forgotten", head)
	}
	r.pass(2 * ttl)
	if got := r.ids(t, deadletters.Filter{}); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
	r.deliver(t, original("shop", "0"), "SUCCESS")
	if got := r.ids(t, deadletters.Filter{}); got != "0" {
		t.Errorf("got %q, want the letter that came again", got)
	}
}

// TestReplayedLettersEndWithTheOthers: a change does not keep a letter longer than its entry.
func TestReplayedLettersEndWithTheOthers(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.deliver(t, original("shop", "7"), "SUCCESS")
	l := r.only(t)
	r.pass(20 * time.Hour)
	if _, err := r.Replay(t.Context(), l.ID, false, "ann"); err != nil {
		t.Fatal(err)
	}
	if d := r.store.documents["deadletter:letter:"+l.ID]; d.ttl != 4*time.Hour {
		t.Errorf("kept for %s, want the 4 hours that are left", d.ttl)
	}
}

func TestStoreThatIsAway(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.store.away = errGone
	r.deliver(t, original("shop", "7"), "RETRY")
	r.deliver(t, "no event", "RETRY")
	_, list := r.List(t.Context(), deadletters.Filter{}, 1, "")
	_, get := r.Get(t.Context(), strings.Repeat("a", 32))
	_, replay := r.Replay(t.Context(), strings.Repeat("a", 32), false, "ann")
	for _, err := range []error{list, get, replay} {
		if scoring.CodeOf(err) != scoring.Unavailable || !errors.Is(err, errGone) {
			t.Errorf("got %v, want Unavailable", err)
		}
	}
	if seen := strings.Fields(r.counter.text()); !slices.Equal(seen, []string{"retry", "retry", "failed"}) {
		t.Errorf("counted %q", seen)
	}
}

// TestDamagedLetter is written anew when it is delivered again.
func TestDamagedLetter(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.deliver(t, original("shop", "7"), "SUCCESS")
	l := r.only(t)
	key := "deadletter:letter:" + l.ID
	r.store.documents[key] = document{"{", 5, ttl, start.Add(ttl)}
	if _, err := r.Get(t.Context(), l.ID); scoring.CodeOf(err) != scoring.Internal {
		t.Errorf("got %v, want Internal", err)
	}
	r.deliver(t, original("shop", "7"), "SUCCESS")
	if again := r.only(t); jsonOf(t, again) != jsonOf(t, l) {
		t.Errorf("got %+v, want %+v", again, l)
	}
}

func TestOversized(t *testing.T) {
	t.Parallel()
	r := newRig()
	for range 2 {
		if got := r.DeliverOversized(t.Context(), 300, 200, [32]byte{1}); got != "SUCCESS" {
			t.Fatalf("got %s", got)
		}
	}
	l := r.only(t)
	if l.Code != "TooLarge" || l.Error != "the event was not kept: it has 300 bytes, and at most 200 are allowed" {
		t.Errorf("got %+v", l)
	}
	if _, err := r.Replay(t.Context(), l.ID, false, "ann"); scoring.CodeOf(err) != scoring.Invalid {
		t.Errorf("got %v, want Invalid", err)
	}
	if r.Refuse(errGone) != "RETRY" {
		t.Error("what could not be read was not given back")
	}
}
