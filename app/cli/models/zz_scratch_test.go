package models_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/catalog/catalogtest"
	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/cli/models"
	"github.com/onda-serving/onda/app/ingress/registryapi"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/verify"
)

type rep struct {
	in  []catalog.Tensor
	div int
}

func (r *rep) Inspect(ctx context.Context, model string, v catalog.Version, p func(admin.Progress)) (verify.Report, error) {
	p(admin.Progress{Stage: "check", Done: 1, Total: 2})
	time.Sleep(150 * time.Millisecond)
	return verify.Report{Digest: "sha256:abcdefabcdefabcdef", SizeBytes: 1234567, MemoryBytes: 7654321, Inputs: r.in, Outputs: r.in, Pipeline: "text", LoadMS: 45.1, RunMS: 1.2}, nil
}
func (r *rep) Prepare(ctx context.Context, m *catalog.Model, version, baseline int64, p func(admin.Progress)) (admin.Comparison, error) {
	p(admin.Progress{Stage: "load"})
	time.Sleep(120 * time.Millisecond)
	p(admin.Progress{Stage: "compare", Done: 1, Total: 20})
	return admin.Comparison{Samples: 20, Disagreed: r.div, Text: "20 recent requests were answered alike"}, nil
}
func (r *rep) Follow(ctx context.Context, m *catalog.Model) {}
func (r *rep) Serving(model string) admin.Serving {
	return admin.Serving{Revision: 3, InSync: true, Labels: map[string]int64{}, Versions: []admin.ServingVersion{{Version: 1, State: "available", MemoryBytes: 1 << 22}}}
}
func (r *rep) Status() admin.Status {
	return admin.Status{Replica: "r0", InSync: true, Store: admin.StoreStatus{Reachable: true}, Revision: 4, Models: map[string]admin.ModelStatus{"faq": {Revision: 3, InSync: true}}, Memory: admin.Memory{Used: 1 << 30}}
}

type sto map[string][]byte

func (s sto) Has(ctx context.Context, sum string) (int64, bool, error) {
	c, ok := s[sum]
	return int64(len(c)), ok, nil
}
func (s sto) Put(ctx context.Context, sum string, size int64, r io.Reader) error {
	c, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	h := sha256.Sum256(c)
	if hex.EncodeToString(h[:]) != sum {
		return scoring.Errorf(scoring.Invalid, "SHA-256 differs")
	}
	s[sum] = c
	return nil
}

func TestScratchReal(t *testing.T) {
	r := &rep{in: []catalog.Tensor{{Name: "text", Datatype: "BYTES", Shape: []int64{-1}}}}
	a := &admin.Admin{Book: &catalog.Book{Store: &catalogtest.Store{}, Log: zerolog.Nop()}, Replica: r, Store: sto{}, Log: zerolog.Nop()}
	h := registryapi.New(registryapi.Config{Changes: "token", Token: "tok", MaxBody: 1 << 20, MaxBlob: 1 << 30, ReadTimeout: time.Second * 5, ChangeTimeout: time.Minute}, a, zerolog.Nop())
	s := httptest.NewServer(h)
	defer s.Close()
	dir := folder(t, map[string]string{"model.onnx": "the model"})
	dir2 := folder(t, map[string]string{"model.onnx": "the model 2"})
	show := func(args ...string) {
		var out, errs bytes.Buffer
		code := command.Run(context.Background(), command.Group("onda", "", models.New(models.Defaults{Server: s.URL, User: "alice", Version: "v0"})), append([]string{"models", "--actor", "alice"}, args...), &out, &errs)
		fmt.Printf("$ onda models %v => %d\n%s-- stderr\n%s\n", args, code, out.String(), errs.String())
	}
	show("register", "faq", "--from", dir)
	show("register", "faq", "--from", dir, "--token", "nope")
	tok := func(args ...string) { show(append(args, "--token", "tok")...) }
	tok("register", "faq", "--from", dir, "--metric", "a=1", "--tag", "b=c", "--commit", "abc", "--reason", "x")
	tok("register", "faq", "--from", dir)
	tok("register", "faq", "--from", dir2)
	tok("label", "faq", "live", "1")
	tok("label", "faq", "live", "2", "--revision", "2")
	r.div = 10
	tok("label", "faq", "live", "2")
	r.div = 0
	tok("traffic", "faq", "1=9", "2=1", "--sticky", "caller")
	tok("traffic", "faq", "--clear")
	tok("shadow", "faq", "2")
	tok("shadow", "faq", "--clear")
	tok("rollout", "faq", "2", "--steps", "5,50", "--step-time", "10s", "--min-samples", "5")
	tok("show", "faq")
	tok("rollback", "faq")
	tok("rollback", "faq")
	tok("rollout", "faq", "2")
	tok("promote", "faq", "2", "--accept", "rolled-back")
	tok("label", "faq", "x", "1")
	tok("label", "faq", "x", "--remove")
	tok("retire", "faq", "2")
	tok("pin", "faq")
	tok("history", "faq")
	tok("list")
	tok("status")
	tok("show", "nope")
	tok("promote", "faq", "-o", "json")
	r.in = []catalog.Tensor{{Name: "question", Datatype: "BYTES", Shape: []int64{-1}}}
	tok("register", "faq", "--from", folder(t, map[string]string{"model.onnx": "the model 3"}))
}
