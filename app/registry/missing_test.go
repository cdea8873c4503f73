package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

// TestMissing names what there is, no more than ten of it, and to nobody who may not list it.
func TestMissing(t *testing.T) {
	t.Parallel()
	r := registry.New()
	if _, err := r.Model("x"); err == nil || err.Error() != "NotFound: Request for unknown model: 'x' is not found: there is no model at all" {
		t.Errorf("got %v", err)
	}
	var all []artifact.Ref
	for i := range 13 {
		all = append(all, ref(fmt.Sprintf("m%02d", 12-i), 1), ref("m05", int64(i+1)))
	}
	r.Announce(all)
	retiring := document("m05", 13, catalog.State{
		Labels: map[string]int64{"live": 1, "stable": 2}, Standing: map[int64]catalog.Standing{13: catalog.Retired, 4: catalog.Retired},
	})
	r.Take(retiring)
	r.Apply("m05", retiring.Route())
	r.Take(document("gone", 1, catalog.State{Standing: map[int64]catalog.Standing{1: catalog.Retired}}))
	const known = "there are gone, m00, m01, m02, m03, m04, m05, m06, m07, m08 and 4 more"
	for _, tt := range []struct {
		name         string
		ref          scoring.ModelRef
		want, secret string
	}{
		{"model", scoring.ModelRef{Name: "x"}, "Request for unknown model: 'x' is not found: " + known + ": GET /v1/models lists the models", known + ": "},
		{"version", scoring.ModelRef{Name: "m05", Version: 40}, `model "m05" has no version 40: there are 12, 11, 10, 9, 8, 7, 6, 5, 3, 2 and 1 more: GET /v1/models/m05 lists its versions`, "there are 12, 11, 10, 9, 8, 7, 6, 5, 3, 2 and 1 more: "},
		{"retired version", scoring.ModelRef{Name: "m05", Version: 13}, `version 13 of model "m05" is retired: there are 12, 11, 10, 9, 8, 7, 6, 5, 3, 2 and 1 more: GET /v1/models/m05 lists the others`, "there are 12, 11, 10, 9, 8, 7, 6, 5, 3, 2 and 1 more: "},
		{"version of a model without any in use", scoring.ModelRef{Name: "gone", Version: 2}, `model "gone" has no version 2: there is none: GET /v1/models/gone lists its versions`, "there is none: "},
		{"label", scoring.ModelRef{Name: "m05", Label: "canary"}, `model "m05" has no label "canary": there are live, stable: GET /v1/models/m05 lists its labels`, "there are live, stable: "},
		{"label of a model that nobody manages", scoring.ModelRef{Name: "m06", Label: "canary"}, `model "m06" has no label "canary": there is live: GET /v1/models/m06 lists its labels`, "there is live: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, lists := range []bool{true, false} {
				want := "NotFound: " + tt.want
				if !lists {
					want = strings.Replace(want, tt.secret, "", 1)
				}
				err := r.Use(t.Context(), registry.Want{Ref: tt.ref, Caller: scoring.Caller{Lists: lists}}, func(registry.Lease) error { return nil })
				if err == nil || err.Error() != want {
					t.Errorf("lists %v: got\n%v\nwant\n%s", lists, err, want)
				}
			}
		})
	}
}
