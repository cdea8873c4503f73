package browser_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/onda-serving/onda/app/portal/portaltest"
)

func TestQuestion(t *testing.T) {
	t.Parallel()
	p := open(t)

	p.do(write("#question", "How do I copy an object?"), enter(), visible("#faq-result .match"))

	if got := evaluate[string](p, `document.querySelector("#question").value`); got != "How do I copy an object?" {
		t.Errorf("after Enter the question is %q", got)
	}
	if got := p.count("#faq-result .match"); got != 2 {
		t.Errorf("%d matches shown, want 2", got)
	}
	p.wants("#faq-result .match:first-child .question", "How do I copy an object?")
	p.wants("#faq-result .match:first-child output", "93 %")
	p.wants("#faq-result .match:first-child .answer p code", "structuredClone(value)")
	p.wants("#faq-result .match:first-child .answer pre", "copy.list.push(1);")
	p.wants("#faq-result .match:first-child .answer pre:last-child", "const copy = { ...value };")
	p.wants("#faq-result .match:first-child .answer", "it keeps <b>nested</b> objects")
	p.wants("#faq-result .origin", "faq-matching version 1 · 0123456789ab")
	p.wants("#faq-result .legend", "preprocess 7.1 ms")
	p.wants("#faq-said", "2 matches. Best: How do I copy an object?, 93 %")
	p.wants("#status", "Onda is ready")
	if got := p.count("#faq-result .answer b"); got != 0 {
		t.Error("an answer's text became markup")
	}
	if got := string(last(p, portaltest.FAQPath).Body); got != "How do I copy an object?" {
		t.Errorf("Onda got the question %q", got)
	}
	p.quiet()
}

func TestExampleQuestion(t *testing.T) {
	t.Parallel()
	p := open(t)

	p.do(click(".chip:nth-of-type(2)"), visible("#faq-result .match"))

	if got := string(last(p, portaltest.FAQPath).Body); got != "What is a closure?" {
		t.Errorf("Onda got the question %q", got)
	}
	p.quiet()
}

func TestNoMatches(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.sidecar.Answer(portaltest.FAQPath, portaltest.Respond(http.StatusOK, `{"predictions":[{"matches":[]}]}`, nil))

	p.do(write("#question", "How high is the moon?"), enter(), visible("#faq-result .nothing"))

	p.wants("#faq-result", "No entry of the FAQ matches.")
	p.quiet()
}

func TestPicture(t *testing.T) {
	t.Parallel()
	p := open(t)

	p.do(choose(picture(t)),
		visible("#picture-result .class"), visible("#drop-preview img"))

	if got := p.count("#picture-result .class"); got != 3 {
		t.Errorf("%d classes shown, want 3", got)
	}
	p.wants("#picture-result .class:first-child", "tabby cat 71 %")
	p.wants("#picture-result .class:last-child", "tiger cat <0.1 %")
	p.wants("#picture-result .origin", "image-classification version 2")
	p.wants("#drop-preview", "waves.png · 120 × 80")
	if got := last(p, portaltest.ImagePath).Header.Get("Content-Type"); got != "image/png" {
		t.Errorf("Onda got a picture of type %q", got)
	}

	p.do(click("#clear"), visible("#picture-result .idle"), visible("#drop-empty"))
	p.quiet()
}

// TestDroppedPicture drops it beside the zone, which has to count as well.
func TestDroppedPicture(t *testing.T) {
	t.Parallel()
	p := open(t)

	evaluate[bool](p, `(async () => {
		const canvas = new OffscreenCanvas(8, 8);
		canvas.getContext("2d").fillRect(0, 0, 8, 8);
		const data = new DataTransfer();
		data.items.add(new File([await canvas.convertToBlob()], "dropped.png", { type: "image/png" }));
		return document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
	})()`)
	p.do(visible("#picture-result .class"))

	p.wants("#drop-preview", "dropped.png · 8 × 8")
	p.quiet()
}

func TestRefusedBeforeSending(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		name    string
		file    string
		content []byte
		want    string
	}{
		{"kind", "notes.txt", []byte("not a picture"), "“notes.txt” is a file of type text/plain."},
		{"size", "large.png", make([]byte, 1100<<10), "“large.png” is too large: 1.1 MB."},
		{"empty", "empty.png", nil, "“empty.png” is empty."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := open(t)

			p.do(choose(file(t, test.file, test.content)),
				visible("#picture-result .failure"))

			p.wants("#picture-result .failure", test.want)
			for _, request := range p.sidecar.Requests() {
				if request.Path == portaltest.ImagePath {
					t.Error("the file was sent all the same")
				}
			}
			p.quiet()
		})
	}
}

func TestNoQuestion(t *testing.T) {
	t.Parallel()
	p := open(t)

	p.do(click("#ask"), visible("#faq-result .failure"))

	p.wants("#faq-result [role=alert]", "There is no question yet.")
	p.quiet()
}

// TestFailureAndAgain shows Onda's own error, then lets the person try again.
func TestFailureAndAgain(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.sidecar.Answer(portaltest.FAQPath, overloaded)

	p.do(write("#question", "What is a closure?"), enter(), visible("#faq-result .failure"))
	p.wants("#faq-result [role=alert]", "The queue is full.")
	p.wants("#faq-result [role=alert]", "Status 429, try again in 30 s")

	p.sidecar.Answer(portaltest.FAQPath, portaltest.Respond(http.StatusOK, portaltest.FAQAnswer, nil))
	p.do(click("#faq-result .failure button"), visible("#faq-result .match"))
	p.quiet("status of 429")
}

func TestOndaAway(t *testing.T) {
	t.Parallel()
	p := open(t)
	away := portaltest.DaprError("failed to invoke, id: onda, err: couldn't find service: onda")
	p.sidecar.Answer(portaltest.ReadyPath, away)
	p.sidecar.Answer(portaltest.ImagePath, away)

	p.do(chromedp.Reload(), visible(`#status[data-state=away]`),
		choose(picture(t)),
		visible("#picture-result .failure"))

	p.wants("#status", "Onda is not ready")
	p.wants("#picture-result [role=alert]", "Onda is not running, or has not been found yet.")
	p.wants("#picture-result [role=alert]", `Start the Dapr app with id "onda"`)
	p.quiet("status of 503")
}

// TestPolicyHolds tries what an injected script would do.
func TestPolicyHolds(t *testing.T) {
	t.Parallel()
	p := open(t)

	refused := evaluate[bool](p, `(() => {
		try { document.body.innerHTML = "<b>markup</b>"; return false } catch { return true }
	})()`)

	if !refused {
		t.Error("text could be turned into markup")
	}
}

// last returns the newest request to a path of Onda.
func last(p *page, path string) portaltest.Request {
	p.t.Helper()

	requests := p.sidecar.Requests()
	for _, request := range slices.Backward(requests) {
		if request.Path == path {
			return request
		}
	}
	p.t.Fatalf("Onda got no request for %s", path)

	return portaltest.Request{}
}
