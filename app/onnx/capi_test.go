package onnx

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	ort "github.com/yalue/onnxruntime_go"
)

var (
	comment = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	// member finds the functions of the table, however they are declared.
	member = regexp.MustCompile(`ORT_API2_STATUS\(\s*(\w+)|ORT_CLASS_(RELEASE)\(\s*(\w+)\)|\(\s*ORT_API_CALL\s*\*\s*(\w+)\s*\)|ORT_API_T\([^,]*,\s*(\w+)`)
	slot   = regexp.MustCompile(`SLOT_(\w+) = (\d+)`)
)

// TestSlots compares the positions in capi.h with the order in the header that comes with
// the binding, and the version with the one that the binding asks for.
func TestSlots(t *testing.T) {
	t.Parallel()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/yalue/onnxruntime_go").Output()
	if err != nil {
		t.Skipf("find the binding's source: %v", err)
	}
	header, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "onnxruntime_c_api.h"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := bytes.Cut(header, []byte("\nstruct OrtApi {"))
	table, _, found := bytes.Cut(comment.ReplaceAll(table, nil), []byte("\n};"))
	if !found {
		t.Fatal("the header has no table of the API: the test looks for the wrong thing")
	}
	order := map[string]int{}
	for i, m := range member.FindAllSubmatch(table, -1) {
		if len(m[2]) > 0 {
			m[1] = append([]byte("Release"), m[3]...)
		}
		order[string(bytes.Join([][]byte{m[1], m[4], m[5]}, nil))] = i
	}
	ours, err := os.ReadFile("capi.h")
	if err != nil {
		t.Fatal(err)
	}
	slots := slot.FindAllSubmatch(ours, -1)
	if len(slots) < 20 {
		t.Fatalf("found %d positions in capi.h: the test looks for the wrong thing", len(slots))
	}
	for _, s := range slots {
		at, known := order[string(s[1])]
		if have, _ := strconv.Atoi(string(s[2])); !known || have != at {
			t.Errorf("%s is at %d in capi.h: want %d", s[1], have, at)
		}
	}
	if version := regexp.MustCompile(`ORT_API_VERSION (\d+)`).FindSubmatch(header); version == nil || !bytes.Contains(ours, []byte("onda_version = "+string(version[1])+" }")) {
		t.Errorf("capi.h is not of the header's version, %s", version[1])
	}
}

func TestOptionsPointerOfAnotherBinding(t *testing.T) {
	t.Parallel()
	if p, err := optionsPointer(&ort.SessionOptions{}); err == nil {
		t.Errorf("got %v of empty options, want an error", p)
	}
}
