package triton

import (
	"cmp"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// Complete gives the whole configuration of a model: that of its config.pbtxt, with what
// that leaves out taken from the model's file. cfg is nil for a model without config.pbtxt;
// it is not changed. name is the model's, and maxRows the most rows of one run in which
// requests of several callers may share: 0 where they never do.
//
// This is what callers are told, so it says what Onda does: `dims` are those of the model's
// file, without the batch axis where max_batch_size is above 0.
func Complete(cfg *configpb.ModelConfig, name string, sig scoring.Signature, maxRows int) *configpb.ModelConfig {
	full := new(configpb.ModelConfig)
	versions := new(configpb.ModelVersionPolicy)
	if cfg != nil {
		full = proto.CloneOf(cfg)
		versions.PolicyChoice = &configpb.ModelVersionPolicy_Latest_{Latest: &configpb.ModelVersionPolicy_Latest{NumVersions: 1}}
	} else {
		versions.PolicyChoice = &configpb.ModelVersionPolicy_All_{All: new(configpb.ModelVersionPolicy_All)}
	}
	full.Name = name
	full.Platform = Platform
	full.Backend = Backend
	full.DefaultModelFilename = cmp.Or(full.GetDefaultModelFilename(), DefaultFile)
	if full.GetVersionPolicy().GetPolicyChoice() == nil {
		full.VersionPolicy = versions
	}
	completeBatching(full, sig, maxRows)
	axis := batching(full)
	if len(full.GetInput()) == 0 {
		for _, spec := range sig.Inputs {
			full.Input = append(full.Input, &configpb.ModelInput{Name: spec.Name, DataType: typeOf(spec.Datatype), Dims: dims(spec, axis)})
		}
	}
	if len(full.GetOutput()) == 0 {
		for _, spec := range sig.Outputs {
			full.Output = append(full.Output, &configpb.ModelOutput{Name: spec.Name, DataType: typeOf(spec.Datatype), Dims: dims(spec, axis)})
		}
	}
	completeInstances(full)
	return full
}

// completeBatching says how many rows there are at once, where the file does not.
func completeBatching(full *configpb.ModelConfig, sig scoring.Signature, maxRows int) {
	// A file with all tensors and no max_batch_size means 0.
	complete := len(full.GetInput()) > 0 && len(full.GetOutput()) > 0
	if full.GetMaxBatchSize() == 0 && !complete && Batchable(sig) {
		full.MaxBatchSize = int32(max(maxRows, 0))
	}
	if full.GetMaxBatchSize() > 1 && !complete && full.GetSchedulingChoice() == nil {
		full.SchedulingChoice = &configpb.ModelConfig_DynamicBatching{DynamicBatching: new(configpb.ModelDynamicBatching)}
	}
}

// Batchable says whether every tensor of a model has a first axis that may vary: only then
// can it be a batch axis.
func Batchable(sig scoring.Signature) bool {
	free := func(s scoring.TensorSpec) bool { return len(s.Shape) > 0 && s.Shape[0] < 0 }
	fixed := func(s scoring.TensorSpec) bool { return !free(s) }
	return len(sig.Inputs) > 0 && !slices.ContainsFunc(sig.Inputs, fixed) && !slices.ContainsFunc(sig.Outputs, fixed)
}

// dims is a shape as the configuration has it. A tensor of unknown rank has no dims.
func dims(spec scoring.TensorSpec, batching bool) []int64 {
	if batching && len(spec.Shape) > 0 {
		return slices.Clone(spec.Shape[1:])
	}
	return slices.Clone(spec.Shape)
}

// completeInstances gives every group a name, a kind and a count, as Triton does.
func completeInstances(full *configpb.ModelConfig) {
	if len(full.GetInstanceGroup()) == 0 {
		full.InstanceGroup = []*configpb.ModelInstanceGroup{{Name: full.GetName()}}
	}
	for i, group := range full.GetInstanceGroup() {
		group.Name = cmp.Or(group.GetName(), full.GetName()+"_"+strconv.Itoa(i))
		group.Count = max(group.GetCount(), 1)
		if group.GetKind() == configpb.ModelInstanceGroup_KIND_AUTO {
			group.Kind = configpb.ModelInstanceGroup_KIND_CPU
		}
	}
}
