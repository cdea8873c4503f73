package triton

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/onda-serving/onda/app/triton/configpb"
)

// DefaultFile is the model's file in a version's folder where default_model_filename says
// no other.
const DefaultFile = "model.onnx"

// Settings is what Onda applies of a configuration.
type Settings struct {
	// Name of the model; "" where the file leaves it to the folder.
	Name string
	// File of the model in a version's folder: [DefaultFile], or what
	// default_model_filename says.
	File string
	// Versions says which versions are served.
	Versions VersionPolicy
	// MaxRows is max_batch_size, the most rows of a run. 0 means that the first axis of
	// the model's tensors is not a batch axis: requests run alone and whole.
	MaxRows int
	// Batching says that requests of several callers may share a run, of MaxRows at most.
	// Without it requests run one by one.
	Batching bool
	// Auto says that there is no file, so that batching is left to the model's own. A file
	// without max_batch_size means 0, also where it leaves out tensors: Triton would take
	// that for a batch axis which may be none.
	Auto bool
	// Delay is how long a batch that is not full waits for more rows.
	Delay time.Duration
	// PriorityLevels is the number of priorities, 1 first; 0 has none.
	PriorityLevels uint64
	// DefaultPriority is that of requests which name none; 0 where the file does not say.
	DefaultPriority uint64
	// Queue bounds the wait.
	Queue QueuePolicy
	// Cache says that answers are kept and given again.
	Cache bool
	// Labels maps outputs to the files with the names of their classes, as paths in the
	// model's folder: one name a line, the n-th for index n.
	Labels map[string]string
	// Instances is the number of copies asked for, over all groups; 0 where the file does
	// not say. One session serves them all: it is the number of runs side by side.
	Instances int
	// WarmUp lists the requests that are run before the version is served.
	WarmUp []WarmUp
	// Runtime is about ONNX Runtime.
	Runtime Runtime
}

// QueuePolicy bounds a queue and the wait in it.
type QueuePolicy struct {
	// MaxRequests is the most requests in the queue; 0 sets no bound.
	MaxRequests int
	// Timeout is the longest wait; 0 sets no bound.
	Timeout time.Duration
	// Delay says that a request which waited for Timeout lets others go first, and is not
	// refused.
	Delay bool
	// Override says that a request may ask for a shorter wait. In Onda it always may.
	Override bool
}

// SettingsOf takes what applies from a configuration. The error lists all that cannot be
// and all that must not be passed over, because answers would be wrong: one a line, each
// beginning with the field, and saying why.
func SettingsOf(cfg *configpb.ModelConfig) (Settings, error) {
	c := new(checks)
	c.refuse(cfg)
	s := Settings{
		Name:     cfg.GetName(),
		File:     DefaultFile,
		Versions: versionPolicyOf(cfg.GetVersionPolicy()),
		MaxRows:  int(cfg.GetMaxBatchSize()),
		Cache:    cfg.GetResponseCache().GetEnable(),
		Labels:   labelFiles(cfg),
		Runtime:  c.runtime(cfg),
	}
	if name := cfg.GetDefaultModelFilename(); name != "" {
		c.file("default_model_filename", name)
		s.File = name
	}
	for _, version := range s.Versions.Specific {
		if version < 1 {
			c.add("version_policy.specific.versions", "%d: want positive whole numbers", version)
		}
	}
	if s.MaxRows < 0 {
		c.add("max_batch_size", "%d: want at least 0", s.MaxRows)
	}
	for i, group := range cfg.GetInstanceGroup() {
		if group.GetCount() < 0 {
			c.add(fmt.Sprintf("instance_group[%d].count", i), "%d: want at least 0", group.GetCount())
		}
		s.Instances += int(group.GetCount())
	}
	s.schedule(c, cfg)
	s.WarmUp = c.warmUp(cfg)
	return s, c.err()
}

// schedule takes the settings of dynamic_batching, and what its absence means.
func (s *Settings) schedule(c *checks, cfg *configpb.ModelConfig) {
	complete := len(cfg.GetInput()) > 0 && len(cfg.GetOutput()) > 0
	s.Auto = cfg == nil
	batching := cfg.GetDynamicBatching()
	// Triton's onnxruntime backend turns batching on for a file that it has to complete.
	s.Batching = s.MaxRows > 1 && (batching != nil || !complete && cfg.GetSchedulingChoice() == nil)
	if batching == nil {
		return
	}
	const key = "dynamic_batching."
	s.Delay = c.micros(key+"max_queue_delay_microseconds", batching.GetMaxQueueDelayMicroseconds())
	s.PriorityLevels, s.DefaultPriority = batching.GetPriorityLevels(), batching.GetDefaultPriorityLevel()
	if s.PriorityLevels > 0 && (s.DefaultPriority < 1 || s.DefaultPriority > s.PriorityLevels) {
		c.add(key+"default_priority_level", "%d: want 1 to %d, the priority_levels", s.DefaultPriority, s.PriorityLevels)
	}
	policy := batching.GetDefaultQueuePolicy()
	s.Queue = QueuePolicy{
		MaxRequests: int(policy.GetMaxQueueSize()),
		Timeout:     c.micros(key+"default_queue_policy.default_timeout_microseconds", policy.GetDefaultTimeoutMicroseconds()),
		Delay:       policy.GetTimeoutAction() == configpb.ModelQueuePolicy_DELAY,
		Override:    policy.GetAllowTimeoutOverride(),
	}
}

func labelFiles(cfg *configpb.ModelConfig) map[string]string {
	files := map[string]string{}
	for _, out := range cfg.GetOutput() {
		if name := out.GetLabelFilename(); name != "" {
			files[out.GetName()] = name
		}
	}
	return files
}

// checks collects what is wrong with a configuration, so that it is mended in one go.
type checks struct{ errs []error }

func (c *checks) add(field, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
}

func (c *checks) err() error { return errors.Join(c.errs...) }

// micros reads a number of microseconds.
func (c *checks) micros(field string, n uint64) time.Duration {
	const most = math.MaxInt64 / uint64(time.Microsecond)
	if n > most {
		c.add(field, "%d: want at most %d", n, most)
		return 0
	}
	return time.Duration(n) * time.Microsecond
}
