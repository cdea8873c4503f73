// Package browser_test drives the portal's page in a real browser, against a
// fake sidecar: what a person does, and what a person then sees.
package browser_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/portal"
	"github.com/onda-serving/onda/app/portal/portaltest"
)

// patience is for a cold start of the browser on a busy machine.
const patience = 60 * time.Second

// page is one tab with the portal open, and everything it complained about.
type page struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // a chromedp tab is a context
	sidecar *portaltest.Sidecar

	mu         sync.Mutex
	complaints []string
}

// open starts a browser of its own for the test, since tabs of one browser
// slow each other down when they are not in front.
func open(t *testing.T) *page {
	t.Helper()

	binary := find(t)
	sidecar := portaltest.NewSidecar(t)
	address := serve(t, sidecar.URL)

	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(binary), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900),
		chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
	)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)

	p := &page{t: t, ctx: ctx, sidecar: sidecar}
	if err := chromedp.Listen(ctx, p.listen); err != nil {
		t.Fatal(err)
	}
	p.do(chromedp.Navigate(address), visible("#status[data-state]"))

	return p
}

// find returns the browser. Without one the test is skipped, but not in CI,
// where that would hide it for ever.
func find(t *testing.T) string {
	t.Helper()

	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if binary, err := exec.LookPath(name); err == nil {
			return binary
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("no Chromium found; CI has to install one")
	}
	t.Skip("no Chromium found; install chromium to run the browser tests")

	return ""
}

// serve starts the portal as main does, apart from the port.
func serve(t *testing.T, sidecar string) string {
	t.Helper()

	server, err := portal.New(portal.Config{
		Listen: "127.0.0.1:0", OndaAppID: "onda", Sidecar: sidecar, MaxBody: 1 << 20, Timeout: 5 * time.Second,
		FAQModel: "faq-matching", ImageModel: "image-classification",
	}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server.Handler())
	t.Cleanup(func() { web.Close(); server.Close() })

	return web.URL
}

// listen collects errors of scripts, violations of the content policy and
// failed requests: the browser reports all of them as log entries.
func (p *page) listen(event any) {
	var text string
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			text = fmt.Sprintf("console.%s", e.Type)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			text = fmt.Sprintf("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	}
	if text == "" {
		return
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	p.complaints = append(p.complaints, text)
}

// quiet fails the test if the browser complained, except about requests that
// failed as the test wanted them to.
func (p *page) quiet(expected ...string) {
	p.t.Helper()

	p.mu.Lock()
	defer p.mu.Unlock()
	for _, complaint := range p.complaints {
		if !containsAny(complaint, expected) {
			p.t.Errorf("browser complained: %s", complaint)
		}
	}
}

func containsAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}

	return false
}

// do takes steps in order.
func (p *page) do(steps ...step) {
	p.t.Helper()

	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.shoot("failed")
		p.t.Fatal(err)
	}
}

// step is something that a person does, or waits for.
type step = chromedp.Action[chromedp.Void]

func visible(selector string) step { return chromedp.WaitVisible(chromedp.CSS(selector)) }

func click(selector string) step { return chromedp.Click(chromedp.CSS(selector)) }

func write(selector, keys string) step { return chromedp.SendKeys(chromedp.CSS(selector), keys) }

// enter presses the key in the element that has the focus. chromedp's own way
// sends the key and its character apart, so that a page that takes the key
// would still get the character, which no keyboard does.
func enter() step {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		key := input.DispatchKeyEventParams{
			Type: input.DispatchKeyEventTypeKeyDown, Key: "Enter", Code: "Enter", Text: "\r", WindowsVirtualKeyCode: 13,
		}
		_, err := chromedp.Call(ctx, input.DispatchKeyEvent, key)

		return err //nolint:wrapcheck // do says what failed
	})
}

func choose(path string) step {
	return chromedp.SetUploadFiles(chromedp.CSS("#picture"), []string{path})
}

// text returns what a person reads in the first element of a selector.
func (p *page) text(selector string) string {
	p.t.Helper()

	text, err := chromedp.Run(p.ctx, chromedp.Text(chromedp.CSS(selector)))
	if err != nil {
		p.t.Fatal(err)
	}

	return strings.Join(strings.Fields(text), " ")
}

// wants checks that an element reads as expected.
func (p *page) wants(selector, want string) {
	p.t.Helper()

	if got := p.text(selector); !strings.Contains(got, want) {
		p.t.Errorf("%s reads %q, want %q in it", selector, got, want)
	}
}

// count returns how many elements match.
func (p *page) count(selector string) int {
	p.t.Helper()

	return evaluate[int](p, fmt.Sprintf("document.querySelectorAll(%q).length", selector))
}

// evaluate runs a script in the page and returns what it yields, or what the
// promise that it yields comes to.
func evaluate[T any](p *page, script string) T {
	p.t.Helper()

	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatal(err)
	}

	return value
}

// shoot keeps a picture of the page in BROWSER_SHOTS, for a person to look at.
func (p *page) shoot(name string) {
	folder := os.Getenv("BROWSER_SHOTS")
	if folder == "" {
		return
	}
	shot, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Logf("no picture of the page: %v", err)

		return
	}
	file := filepath.Join(folder, strings.ReplaceAll(p.t.Name(), "/", "-")+"-"+name+".png")
	if err := os.WriteFile(file, shot, 0o600); err != nil {
		p.t.Logf("no picture of the page: %v", err)
	}
}

// picture writes a small PNG and returns its path.
func picture(t *testing.T) string {
	t.Helper()

	canvas := image.NewRGBA(image.Rect(0, 0, 120, 80))
	for x := range 120 {
		for y := range 80 {
			canvas.Set(x, y, color.RGBA{R: uint8(2 * x), G: 120, B: uint8(3 * y), A: 255})
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, canvas); err != nil {
		t.Fatal(err)
	}

	return file(t, "waves.png", out.Bytes())
}

func file(t *testing.T, name string, content []byte) string {
	t.Helper()

	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}

	return path
}

var overloaded = portaltest.Respond(http.StatusTooManyRequests, `{"error":"the queue is full"}`,
	http.Header{"Retry-After": {"30"}})
