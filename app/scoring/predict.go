package scoring

// InstanceKind says how a caller gave an instance.
type InstanceKind uint8

const (
	// Text is Unicode text in UTF-8.
	Text InstanceKind = iota + 1
	// Binary is an encoded file, such as a JPEG picture.
	Binary
)

// String names the kind in errors.
func (k InstanceKind) String() string {
	if k == Text {
		return "text"
	}
	return "binary data"
}

// Instance is one item to score, before the model's pipeline saw it.
type Instance struct {
	// Kind says what Data is.
	Kind InstanceKind
	// Data is valid UTF-8 for [Text], and any bytes for [Binary]. It belongs to the
	// request: nobody writes to it.
	Data []byte
}

// Parameters are what a caller can ask of a pipeline.
type Parameters struct {
	// TopK is the number of classes or matches wanted for each instance; 0 leaves it
	// to the model's manifest.
	TopK int
}

// PredictRequest asks for predictions: instances in, through the model's pipeline.
type PredictRequest struct {
	// Model to ask.
	Model ModelRef
	// ID is the caller's name for the request; the engine makes one if it is empty.
	ID string
	// Instances, at least one.
	Instances []Instance
	// Parameters for all of the instances.
	Parameters Parameters
	// Schedule says how urgent the request is.
	Schedule Schedule
	// Caller says who asks.
	Caller Caller
}

// Class is one class of an image prediction.
type Class struct {
	// Index of the class in the model's output.
	Index int `json:"index"`
	// Label is the class's name.
	Label string `json:"label"`
	// Score is the model's probability, 0 to 1.
	Score float32 `json:"score"`
}

// Match is one entry of a FAQ prediction.
type Match struct {
	// ID of the entry.
	ID string `json:"id"`
	// Question as the FAQ words it.
	Question string `json:"question"`
	// Answer to it.
	Answer string `json:"answer"`
	// Score is the model's probability, 0 to 1.
	Score float32 `json:"score"`
}

// Prediction is the answer for one instance: [Classes] or [Matches]. Its JSON form is
// part of the contract.
type Prediction interface{ prediction() }

// Classes is an image prediction, best first.
type Classes struct {
	// Classes in falling order of score.
	Classes []Class `json:"classes"`
}

// Matches is a FAQ prediction, best first.
type Matches struct {
	// Matches in falling order of score.
	Matches []Match `json:"matches"`
}

func (Classes) prediction() {}
func (Matches) prediction() {}

// PredictResponse answers a [PredictRequest].
type PredictResponse struct {
	// Model that answered.
	Model ModelID
	// ID of the request.
	ID string
	// Predictions, one for each instance and in their order.
	Predictions []Prediction
	// Timing says where the time went.
	Timing Timing
}
