package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing/fstest"
	"time"

	"github.com/onda-serving/onda/app/pipeline"
	"github.com/onda-serving/onda/app/scoring"
)

// picture is one way to store a photo.
type picture struct {
	Photo       string `json:"photo"`
	Width       int    `json:"width"`
	Height      int    `json:"height"`
	Quality     int    `json:"quality"`
	Chroma      string `json:"chroma"`
	Progressive bool   `json:"progressive"`
	// Tiled says that the photo was repeated and not enlarged.
	Tiled bool `json:"tiled"`
}

// times are milliseconds: the median, and the quarters around it.
type times struct {
	Median float64 `json:"median_ms"`
	Low    float64 `json:"q1_ms"`
	High   float64 `json:"q3_ms"`
}

// result is the comparison for one file.
type result struct {
	picture

	Bytes  int   `json:"bytes"`
	Rounds int   `json:"rounds"`
	Pillow times `json:"pillow"`
	Onda   times `json:"onda"`
	// Ratio is Onda's time by Pillow's, the median over rounds: below 1, Onda is faster.
	Ratio float64 `json:"ratio"`
	// MeanDifference and MaxDifference are absolute differences of the tensors, whose
	// values are 0 to 255.
	MeanDifference float64 `json:"mean_difference"`
	MaxDifference  float64 `json:"max_difference"`
}

// pictures are the forms in which each photo is compared.
func pictures(photos []string, quick bool, only string) []picture {
	qualities := []int{75, 85, 90}
	if quick {
		qualities = []int{85}
	}
	var all []picture
	for _, size := range []picture{{Width: 4000, Height: 3000}, {Width: 4000, Height: 3000, Tiled: true}, {Width: 500, Height: 375}} {
		for _, photo := range photos {
			for _, q := range qualities {
				for _, chroma := range []string{"4:2:0", "4:4:4"} {
					for _, progressive := range []bool{false, true} {
						p := size
						p.Photo, p.Quality, p.Chroma, p.Progressive = photo, q, chroma, progressive
						if strings.Contains(p.String(), only) {
							all = append(all, p)
						}
					}
				}
			}
		}
	}
	return all
}

func compareAll(pillow *pillow, dir string, pictures []picture, quick bool) ([]result, error) {
	onda, err := newPipeline()
	if err != nil {
		return nil, err
	}
	var results []result
	for _, p := range pictures {
		r, err := compare(pillow, onda, filepath.Join(dir, "picture.jpg"), p, quick)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		say("%-60s %7d bytes  Pillow %7.2f ms  Onda %7.2f ms  ratio %.2f  difference %.3f, at most %.0f\n",
			p, r.Bytes, r.Pillow.Median, r.Onda.Median, r.Ratio, r.MeanDifference, r.MaxDifference)
		results = append(results, r)
	}
	return results, nil
}

func (p picture) String() string {
	kind := "baseline"
	if p.Progressive {
		kind = "progressive"
	}
	if p.Tiled {
		kind += ", tiled"
	}
	name := strings.TrimSuffix(filepath.Base(p.Photo), filepath.Ext(p.Photo))
	return fmt.Sprintf("%.20s %dx%d q%d %s %s", name, p.Width, p.Height, p.Quality, p.Chroma, kind)
}

func compare(pillow *pillow, onda pipeline.Pipeline, path string, p picture, quick bool) (result, error) {
	var none struct{}
	err := pillow.ask(map[string]any{
		"do": "encode", "photo": p.Photo, "to": path, "width": p.Width, "height": p.Height,
		"quality": p.Quality, "chroma": p.Chroma, "progressive": p.Progressive, "tiled": p.Tiled,
	}, &none)
	if err != nil {
		return result{}, err
	}
	if err := pillow.ask(map[string]any{"do": "load", "jpeg": path}, &none); err != nil {
		return result{}, err
	}
	data, err := os.ReadFile(path) //nolint:gosec // a file of this program
	if err != nil {
		return result{}, err
	}
	r := result{picture: p, Bytes: len(data), Rounds: rounds(p, quick)}
	if err := difference(pillow, onda, data, path+".tensor", &r); err != nil {
		return r, err
	}
	var theirs, ours, ratios []float64
	for range r.Rounds {
		var took struct{ MS float64 }
		if err := pillow.ask(map[string]any{"do": "time"}, &took); err != nil {
			return r, err
		}
		begin := time.Now()
		if _, err := prepare(onda, data); err != nil {
			return r, err
		}
		ms := float64(time.Since(begin).Nanoseconds()) / 1e6
		theirs, ours, ratios = append(theirs, took.MS), append(ours, ms), append(ratios, ms/took.MS)
	}
	r.Pillow, r.Onda, r.Ratio = timesOf(theirs), timesOf(ours), timesOf(ratios).Median
	return r, nil
}

// rounds are fewer for large pictures, which take a hundred times as long.
func rounds(p picture, quick bool) int {
	n := 61
	if p.Width > 1000 {
		n = 9
	}
	if quick {
		n = n/2 + 1
	}
	return n
}

// difference compares the tensors.
func difference(pillow *pillow, onda pipeline.Pipeline, data []byte, path string, r *result) error {
	if err := pillow.ask(map[string]any{"do": "tensor", "to": path}, new(struct{})); err != nil {
		return err
	}
	theirs, err := os.ReadFile(path) //nolint:gosec // a file of this program
	if err != nil {
		return err
	}
	ours, err := prepare(onda, data)
	if err != nil {
		return err
	}
	if len(ours) != len(theirs) {
		return fmt.Errorf("tensors have %d and %d bytes", len(ours), len(theirs))
	}
	n := len(ours) / 4
	for i := range n {
		d := math.Abs(float64(float(ours[4*i:]) - float(theirs[4*i:])))
		r.MeanDifference += d / float64(n)
		r.MaxDifference = max(r.MaxDifference, d)
	}
	return nil
}

func float(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }

// newPipeline makes the pipeline of the image-classification model.
func newPipeline() (pipeline.Pipeline, error) {
	spec := pipeline.ImageSpec{
		Input: "images", Output: "probabilities", Size: 224, Crop: 0.875, Resize: "bicubic",
		Colour: "rgb", Layout: "nchw", Scale: [3]float64{1, 1, 1}, Labels: "labels.txt", TopK: 1,
	}
	signature := scoring.Signature{
		Inputs:  []scoring.TensorSpec{{Name: "images", Datatype: scoring.FP32, Shape: []int64{-1, 3, 224, 224}}},
		Outputs: []scoring.TensorSpec{{Name: "probabilities", Datatype: scoring.FP32, Shape: []int64{-1, 1}}},
	}
	files := fstest.MapFS{"labels.txt": {Data: []byte("anything\n")}}
	return pipeline.New(pipeline.Spec{Image: &spec}, signature, files, pipeline.Limits{})
}

// prepare gives the tensor's bytes.
func prepare(p pipeline.Pipeline, data []byte) ([]byte, error) {
	tensors, err := p.Preprocess(context.Background(), []scoring.Instance{{Kind: scoring.Binary, Data: data}})
	if err != nil {
		return nil, err
	}
	return tensors[0].Data, nil
}

func timesOf(values []float64) times {
	slices.Sort(values)
	n := len(values)
	return times{values[n/2], values[n/4], values[3*n/4]}
}
