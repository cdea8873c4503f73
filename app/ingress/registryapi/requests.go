package registryapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// common is what the body of every change can have.
type common struct {
	// Reason why, in the caller's words.
	Reason string `json:"reason"`
	// Accept names what is meant although it looks like a mistake.
	Accept []string `json:"accept"`
}

// The bodies of changes.
type (
	registerBody struct {
		common

		Version     int64                   `json:"version"`
		Location    string                  `json:"location"`
		Files       map[string]catalog.File `json:"files"`
		Description string                  `json:"description"`
		Licence     string                  `json:"licence"`
		Framework   string                  `json:"framework"`
		Source      catalog.Source          `json:"source"`
		Metrics     map[string]float64      `json:"metrics"`
		Tags        map[string]string       `json:"tags"`
	}
	versionBody struct {
		common

		Version int64 `json:"version"`
	}
	trafficBody struct {
		common

		Weights map[string]int `json:"weights"`
		Sticky  string         `json:"sticky"`
	}
	shadowBody struct {
		common

		Version int64   `json:"version"`
		Share   float64 `json:"share"`
	}
	rolloutBody struct {
		common

		Version int64        `json:"version"`
		Steps   []int        `json:"steps"`
		Rule    catalog.Rule `json:"rule"`
		Sticky  string       `json:"sticky"`
	}
	pinBody struct {
		common

		Pinned *bool `json:"pinned"`
	}
	plainBody struct{ common }
)

// shared gives what every body has.
func (c *common) shared() *common { return c }

// decode reads the body, and what every change brings along from it.
func (in *asked) decode(into interface{ shared() *common }) error {
	if err := decode(in.body, into); err != nil {
		return err
	}
	in.ask.Reason, in.ask.Accept = into.shared().Reason, into.shared().Accept
	return nil
}

// made makes the outcome of a change that gives the document.
func made(document *admin.Document, err error) (outcome, error) {
	if err != nil {
		return outcome{}, err
	}
	return outcome{status: http.StatusOK, body: document, revision: document.Revision}, nil
}

func (in *asked) model() string { return in.PathValue("model") }

// register reads POST /registry/v1/models/{model}/versions.
func (h *Handler) register(in *asked) (func(context.Context) (outcome, error), error) {
	var body registerBody
	if err := in.decode(&body); err != nil {
		return nil, err
	}
	want := admin.Registration{
		Version: body.Version, Location: body.Location, Files: body.Files,
		Description: body.Description, Licence: body.Licence, Framework: body.Framework,
		Source: body.Source, Metrics: body.Metrics, Tags: body.Tags,
	}
	return func(ctx context.Context) (outcome, error) {
		got, err := h.service.Register(ctx, in.model(), want, in.ask)
		if err != nil {
			return outcome{}, err
		}
		out := outcome{status: http.StatusOK, body: got, revision: got.Revision}
		if got.New {
			out.status = http.StatusCreated
			out.location = "/registry/v1/models/" + in.model() + "/versions/" + strconv.FormatInt(got.Version.Version, 10)
		}
		return out, nil
	}, nil
}

// setLabel reads PUT /registry/v1/models/{model}/labels/{label}.
func (h *Handler) setLabel(in *asked) (func(context.Context) (outcome, error), error) {
	var body versionBody
	if err := in.decode(&body); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (outcome, error) {
		return made(h.service.SetLabel(ctx, in.model(), in.PathValue("label"), body.Version, in.ask))
	}, nil
}

// removeLabel reads DELETE /registry/v1/models/{model}/labels/{label}.
func (h *Handler) removeLabel(in *asked) (func(context.Context) (outcome, error), error) {
	if err := in.decode(&plainBody{}); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (outcome, error) {
		return made(h.service.RemoveLabel(ctx, in.model(), in.PathValue("label"), in.ask))
	}, nil
}

// setTraffic reads PUT /registry/v1/models/{model}/traffic.
func (h *Handler) setTraffic(in *asked) (func(context.Context) (outcome, error), error) {
	var body trafficBody
	if err := in.decode(&body); err != nil {
		return nil, err
	}
	if len(body.Weights) == 0 {
		return nil, scoring.Errorf(scoring.Invalid, `weights is missing: want the weight of each version, such as {"1": 90, "2": 10}; DELETE takes a split away`)
	}
	traffic := &catalog.Traffic{Weights: map[int64]int{}, Sticky: body.Sticky}
	for text, weight := range body.Weights {
		version, err := scoring.ParseVersion(text)
		if err != nil {
			return nil, scoring.Errorf(scoring.Invalid, "weights: %s", scoring.AsError(err).Message)
		}
		traffic.Weights[version] = weight
	}
	return func(ctx context.Context) (outcome, error) {
		return made(h.service.SetTraffic(ctx, in.model(), traffic, in.ask))
	}, nil
}

// clearTraffic reads DELETE /registry/v1/models/{model}/traffic.
func (h *Handler) clearTraffic(in *asked) (func(context.Context) (outcome, error), error) {
	if err := in.decode(&plainBody{}); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (outcome, error) {
		return made(h.service.SetTraffic(ctx, in.model(), nil, in.ask))
	}, nil
}

// setShadow reads PUT /registry/v1/models/{model}/shadow.
func (h *Handler) setShadow(in *asked) (func(context.Context) (outcome, error), error) {
	var body shadowBody
	if err := in.decode(&body); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (outcome, error) {
		return made(h.service.SetShadow(ctx, in.model(), &catalog.Shadow{Version: body.Version, Share: body.Share}, in.ask))
	}, nil
}

// clearShadow reads DELETE /registry/v1/models/{model}/shadow.
func (h *Handler) clearShadow(in *asked) (func(context.Context) (outcome, error), error) {
	if err := in.decode(&plainBody{}); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (outcome, error) {
		return made(h.service.SetShadow(ctx, in.model(), nil, in.ask))
	}, nil
}

// rollout reads POST /registry/v1/models/{model}/rollout.
func (h *Handler) rollout(in *asked) (func(context.Context) (outcome, error), error) {
	var body rolloutBody
	if err := in.decode(&body); err != nil {
		return nil, err
	}
	plan := admin.RolloutPlan{Version: body.Version, Steps: body.Steps, Rule: body.Rule, Sticky: body.Sticky}
	return func(ctx context.Context) (outcome, error) {
		return made(h.service.Rollout(ctx, in.model(), plan, in.ask))
	}, nil
}

// promote reads POST /registry/v1/models/{model}/promote.
func (h *Handler) promote(in *asked) (func(context.Context) (outcome, error), error) {
	var body versionBody
	if err := in.decode(&body); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (outcome, error) {
		return made(h.service.Promote(ctx, in.model(), body.Version, in.ask))
	}, nil
}

// rollBack reads POST /registry/v1/models/{model}/rollback.
func (h *Handler) rollBack(in *asked) (func(context.Context) (outcome, error), error) {
	if err := in.decode(&plainBody{}); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (outcome, error) {
		return made(h.service.RollBack(ctx, in.model(), in.ask))
	}, nil
}

// retire reads POST /registry/v1/models/{model}/versions/{version}/retire.
func (h *Handler) retire(in *asked) (func(context.Context) (outcome, error), error) {
	if err := in.decode(&plainBody{}); err != nil {
		return nil, err
	}
	version, err := scoring.ParseVersion(in.PathValue("version"))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (outcome, error) {
		return made(h.service.Retire(ctx, in.model(), version, in.ask))
	}, nil
}

// pin reads PUT /registry/v1/models/{model}/pin.
func (h *Handler) pin(in *asked) (func(context.Context) (outcome, error), error) {
	var body pinBody
	if err := in.decode(&body); err != nil {
		return nil, err
	}
	if body.Pinned == nil {
		return nil, scoring.Errorf(scoring.Invalid, `pinned is missing: want {"pinned": true} or {"pinned": false}`)
	}
	return func(ctx context.Context) (outcome, error) {
		return made(h.service.Pin(ctx, in.model(), *body.Pinned, in.ask))
	}, nil
}
