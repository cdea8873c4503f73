package triton

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/onda-serving/onda/app/triton/configpb"
)

// maxWarnings bounds the warnings of a configuration: a long list of CUDA graphs is one
// field, but a hostile file could have as many parameters as fit.
const maxWarnings = 100

// Warnings names the fields that are set and have no effect, one sentence each, in the
// order of the .proto file. It begins with the field, as it is written in
// config.pbtxt, such as `instance_group[0].count: ...`.
func Warnings(cfg *configpb.ModelConfig) []string {
	var w warnings
	w.message(cfg.ProtoReflect(), "", "")
	w.values(cfg)
	if more := len(w) - maxWarnings; more > 0 {
		w = append(w[:maxWarnings:maxWarnings], fmt.Sprintf("and %d more fields that have no effect", more))
	}
	return w
}

type warnings []string

func (w *warnings) add(field, text string) { *w = append(*w, field+": "+text) }

// values warns of fields that have an effect, but not with the value they have.
func (w *warnings) values(cfg *configpb.ModelConfig) {
	if level := cfg.GetOptimization().GetGraph().GetLevel(); level < -1 || level > 2 {
		w.add("optimization.graph.level", fmt.Sprintf("%d is none of -1, 0, 1 and 2: all optimisations are on", level))
	}
	params := cfg.GetParameters()
	if params["inter_op_thread_count"] != nil && params["execution_mode"].GetStringValue() != "1" {
		w.add("parameters.inter_op_thread_count", "operators run one after the other, because execution_mode is not 1")
	}
	policy := cfg.GetDynamicBatching().GetDefaultQueuePolicy()
	if policy.GetTimeoutAction() == configpb.ModelQueuePolicy_DELAY {
		w.add("dynamic_batching.default_queue_policy.timeout_action", "DELAY: requests keep their place in the queue, and are not refused for waiting")
	}
	if cfg.GetDynamicBatching() != nil && cfg.GetMaxBatchSize() == 0 {
		w.add("dynamic_batching", "requests run alone, because max_batch_size is 0")
	}
}

// message goes through the set fields of m. rule is the path of m without positions, as in
// fields, and path is what people read; both end in a dot, or are empty.
func (w *warnings) message(m protoreflect.Message, rule, path string) {
	all := m.Descriptor().Fields()
	for i := range all.Len() {
		if field := all.Get(i); m.Has(field) {
			w.field(field, m.Get(field), rule+string(field.Name()), path+string(field.Name()))
		}
	}
}

// field warns of a field, or looks at what is below it: a message may be used as such, and
// have fields that are not.
func (w *warnings) field(field protoreflect.FieldDescriptor, v protoreflect.Value, rule, path string) {
	text, known := fields[rule]
	switch {
	case text != "":
		w.add(path, text)
	case known && !knownBelow[rule]:
	case field.IsMap():
		w.entries(v.Map(), rule, path)
	case field.IsList() && field.Message() != nil:
		for i := range v.List().Len() {
			w.message(v.List().Get(i).Message(), rule+".", path+"["+strconv.Itoa(i)+"].")
		}
	case field.Message() != nil:
		w.message(v.Message(), rule+".", path+".")
	default:
		w.add(path, unknownField)
	}
}

// entries goes through a map that has rules for single keys: parameters.
func (w *warnings) entries(m protoreflect.Map, rule, path string) {
	for _, key := range sortedKeys(m) {
		text, known := fields[rule+"."+key.String()]
		if !known {
			text = unknownParameter
		}
		if text != "" {
			w.add(path+"."+clip(key.String()), text)
		}
	}
}

// plainKey is a key that can be read without quotes.
var plainKey = regexp.MustCompile(`^[\w./-]{1,64}$`)

// clip makes a key of the file fit to be repeated.
func clip(key string) string {
	if plainKey.MatchString(key) {
		return key
	}
	if len(key) > 64 {
		key = strings.ToValidUTF8(key[:64], "") + "..."
	}
	return strconv.Quote(key)
}

// knownBelow has every path that a longer one in fields goes through.
var knownBelow = func() map[string]bool {
	below := map[string]bool{}
	for path := range fields {
		for {
			dot := strings.LastIndexByte(path, '.')
			if dot < 0 {
				break
			}
			path = path[:dot]
			below[path] = true
		}
	}
	return below
}()
