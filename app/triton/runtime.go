package triton

import (
	"strconv"
	"strings"

	"github.com/onda-serving/onda/app/triton/configpb"
)

// Runtime is what a configuration says about ONNX Runtime, under `parameters` and
// optimization.graph. Zero values leave it to the server.
type Runtime struct {
	// IntraOpThreads share one operator (intra_op_thread_count).
	IntraOpThreads int
	// InterOpThreads run operators side by side, where Parallel is set and only there
	// (inter_op_thread_count).
	InterOpThreads int
	// Parallel runs operators side by side (execution_mode 1).
	Parallel bool
	// Optimization of the graph (optimization.graph.level).
	Optimization Optimization
	// MemArena keeps freed memory for the next run (enable_mem_arena); nil is not said.
	MemArena *bool
	// MemPattern plans the memory of a run by its shapes (enable_mem_pattern); nil is not
	// said.
	MemPattern *bool
}

// Optimization is how far ONNX Runtime rewrites the graph of a model. The numbers are those
// of optimization.graph.level.
type Optimization int32

// The levels. Any other number means [OptimizeAll], as in Triton.
const (
	OptimizeBasic    Optimization = -1
	OptimizeAll      Optimization = 0
	OptimizeExtended Optimization = 1
	OptimizeNone     Optimization = 2
)

// runtime reads what is about ONNX Runtime.
func (c *checks) runtime(cfg *configpb.ModelConfig) Runtime {
	params := cfg.GetParameters()
	r := Runtime{
		IntraOpThreads: c.number(params, "intra_op_thread_count", 1<<16),
		InterOpThreads: c.number(params, "inter_op_thread_count", 1<<16),
		Parallel:       c.number(params, "execution_mode", 1) == 1,
		Optimization:   Optimization(cfg.GetOptimization().GetGraph().GetLevel()),
		MemArena:       c.toggle(params, "enable_mem_arena"),
		MemPattern:     c.toggle(params, "enable_mem_pattern"),
	}
	if r.Optimization < OptimizeBasic || r.Optimization > OptimizeNone {
		r.Optimization = OptimizeAll
	}
	return r
}

type parameters = map[string]*configpb.ModelParameter

// number reads a whole number from 0 to most; 0 where there is none.
func (c *checks) number(params parameters, key string, most int) int {
	p, ok := params[key]
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(p.GetStringValue()))
	if err != nil || n < 0 || n > most {
		c.add("parameters."+key, "%q: want a whole number, 0 to %d", p.GetStringValue(), most)
		return 0
	}
	return n
}

// toggle reads a switch; nil where there is none.
func (c *checks) toggle(params parameters, key string) *bool {
	p, ok := params[key]
	if !ok {
		return nil
	}
	switch strings.ToLower(p.GetStringValue()) {
	case "1", "true":
		return new(true)
	case "0", "false":
		return new(false)
	default:
		c.add("parameters."+key, "%q: want 1 or 0", p.GetStringValue())
		return nil
	}
}
