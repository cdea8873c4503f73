package pipeline

import (
	"context"
	"io/fs"

	"github.com/onda-serving/onda/app/scoring"
)

// Defaults of [Limits].
const (
	// DefaultMaxPixels is the default of [Limits.MaxPixels]: the largest photos of
	// today's telephones.
	DefaultMaxPixels = 50_000_000
	// DefaultMaxTextBytes is the default of [Limits.MaxTextBytes].
	DefaultMaxTextBytes = 32 << 10
)

// Limits bound what one instance can cost. The zero value means the defaults.
type Limits struct {
	// MaxPixels is the largest width times height of a picture. While it is decoded, a
	// picture takes up to this many bytes a pixel: JPEG 3 and its own length, progressive
	// JPEG 15 (CMYK 24), PNG 8 (interlaced 12), WebP 8, GIF 1; on top of that, pictures
	// with transparency, a palette or CMYK take 3 for each pixel of the square that is
	// kept. Most JPEGs take far less: memory of the square only, and that of a large one
	// at a smaller scale. Of what is taken, a few megabytes are kept for the next picture.
	MaxPixels int
	// MaxTextBytes is the greatest length of a text in UTF-8, before normalisation. NFKC
	// can make a text up to 11 times as long.
	MaxTextBytes int
	// Buffers lends the memory of picture tensors, which whoever runs the model gives back;
	// nil leaves it to the collector.
	Buffers Buffers
}

// Buffers lends memory: see pool.Pool, which implements it.
type Buffers interface {
	// Get gives n bytes with any content.
	Get(n int) []byte
}

// collected is memory that the collector takes back.
type collected struct{}

// Get implements Buffers.
func (collected) Get(n int) []byte { return make([]byte, n) }

func (l Limits) withDefaults() Limits {
	if l.MaxPixels <= 0 {
		l.MaxPixels = DefaultMaxPixels
	}
	if l.MaxTextBytes <= 0 {
		l.MaxTextBytes = DefaultMaxTextBytes
	}
	if l.Buffers == nil {
		l.Buffers = collected{}
	}
	return l
}

// Pipeline turns instances into input tensors and output tensors into predictions. It is
// safe for concurrent use.
type Pipeline interface {
	// Kind is what each instance must be.
	Kind() scoring.InstanceKind
	// MaxRows is the number of rows that the model takes at once: 1 where its signature
	// fixes the first axis, 0 where any number fits. Preprocess and Postprocess take any
	// number all the same, so that positions in errors are those of the request: who runs
	// the model splits the tensors along the first axis.
	MaxRows() int
	// Outputs names the outputs that Postprocess needs.
	Outputs() []string
	// Preprocess turns n instances into the model's input tensors, each with n rows. It
	// looks at ctx between instances and while it decodes. The error is a
	// [scoring.Error]: Invalid, UnsupportedMedia or TooLarge with a message beginning with
	// "instances[i]: ", or what became of ctx. Instances are not kept and not written to.
	Preprocess(ctx context.Context, instances []scoring.Instance) ([]scoring.Tensor, error)
	// Postprocess turns outputs with n rows into n predictions. The error is a
	// [scoring.Error]: Invalid for parameters that make no sense, Internal for an output
	// that is missing, has another shape than the signature says, or holds NaN or an
	// infinity.
	Postprocess(outputs []scoring.Tensor, n int, params scoring.Parameters) ([]scoring.Prediction, error)
}

// New makes the pipeline of spec for a model with signature sig. It reads the labels or
// the table through files, the folder of the version. The error says which key of the
// manifest does not fit the model, and why.
func New(spec Spec, sig scoring.Signature, files fs.FS, limits Limits) (Pipeline, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if spec.Image != nil {
		return newImagePipeline(*spec.Image, sig, files, limits.withDefaults())
	}
	return newTextPipeline(*spec.Text, sig, files, limits.withDefaults())
}
