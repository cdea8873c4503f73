package models

import (
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/onda-serving/onda/app/cli/client"
)

// stage is a part of a long command. On a terminal it is a bar while it goes on, and leaves
// a line; elsewhere it is that line alone, from the beginning.
type stage struct {
	screen *screen
	text   string
	total  int64
	bytes  bool
	bar    *progressbar.ProgressBar
}

// stage begins a stage. total is what there is to do; 0 if nobody knows, which makes no bar.
func (s *screen) stage(text string, total int64, bytes bool) *stage {
	st := &stage{screen: s, text: text, bytes: bytes}
	if !s.lively {
		s.note("%s", text)
		return st
	}
	s.update(text)
	st.restart(total)
	return st
}

// restart begins the bar again: one that was full once shows nothing any more.
func (st *stage) restart(total int64) {
	if !st.screen.lively || total <= 0 {
		return
	}
	st.total = total
	st.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(st.screen.notes),
		progressbar.OptionSetDescription(st.text),
		progressbar.OptionFullWidth(),
		progressbar.OptionShowBytes(st.bytes),
		progressbar.OptionShowCount(),
		progressbar.OptionUseIECUnits(true),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionThrottle(65*time.Millisecond),
		progressbar.OptionSetRenderBlankState(true),
	)
}

// set says how much is done. It may be called from another goroutine, one at a time.
func (st *stage) set(done int64) {
	if st.bar != nil {
		_ = st.bar.Set64(min(done, st.total)) // it complains of nothing but more than all
	}
}

// again says why the stage goes back to an earlier point.
func (st *stage) again(format string, args ...any) {
	if st.screen.lively {
		st.screen.update("")
		st.screen.open = false
	}
	st.screen.note(format, args...)
	st.restart(st.total)
}

// end takes the bar away and leaves the line.
func (st *stage) end() {
	if st.screen.lively {
		st.screen.update(st.text)
		st.screen.endLine()
	}
}

// stages shows how far the server is with a long change.
type stages struct {
	screen *screen
	name   string
	now    *stage
	// waits says that the server said that it waits for its turn. It always says so at the
	// beginning, and again only if there is something to wait for: another change, or room.
	waits bool
	// told are the texts of the stages that were begun.
	told []string
}

// stageWaiting is the stage before the first one.
const stageWaiting = "waiting"

// stageTexts say what the server does.
var stageTexts = map[string]string{
	stageWaiting: "the server is busy with other changes or loads, this one waits",
	"fetch":      "the server fetches the files",
	"check":      "the server checks the files",
	"load":       "the server loads the version and tries it",
	"compare":    "the server compares answers with those of the live version",
}

// tell takes a line of progress.
func (s *stages) tell(p client.Progress) {
	if p.Stage == stageWaiting && !s.waits {
		s.waits = true
		return
	}
	if s.now == nil || p.Stage != s.name {
		s.end()
		text := stageTexts[p.Stage]
		if text == "" {
			text = "the server: " + client.Clean(p.Stage)
		}
		s.name, s.now = p.Stage, s.begin(text, p)
	}
	if p.Total != s.now.total {
		s.now.restart(p.Total)
	}
	s.now.set(p.Done)
}

// begin begins a stage. Where lines stay, one that comes again says nothing new: a change tries
// several versions, each in all stages.
func (s *stages) begin(text string, p client.Progress) *stage {
	if !s.screen.lively && slices.Contains(s.told, text) {
		return &stage{screen: s.screen, text: text, total: p.Total}
	}
	s.told = append(s.told, text)
	return s.screen.stage(text, p.Total, p.Stage == "fetch")
}

// end ends the stage that goes on.
func (s *stages) end() {
	if s.now != nil {
		s.now.end()
		s.now = nil
	}
}
