package triton

import (
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// datatypes pairs the names of the configuration with those of the protocol. Strings are
// the only ones that differ.
var datatypes = map[configpb.DataType]scoring.Datatype{
	configpb.DataType_TYPE_BOOL:   scoring.Bool,
	configpb.DataType_TYPE_UINT8:  scoring.Uint8,
	configpb.DataType_TYPE_UINT16: scoring.Uint16,
	configpb.DataType_TYPE_UINT32: scoring.Uint32,
	configpb.DataType_TYPE_UINT64: scoring.Uint64,
	configpb.DataType_TYPE_INT8:   scoring.Int8,
	configpb.DataType_TYPE_INT16:  scoring.Int16,
	configpb.DataType_TYPE_INT32:  scoring.Int32,
	configpb.DataType_TYPE_INT64:  scoring.Int64,
	configpb.DataType_TYPE_FP16:   scoring.FP16,
	configpb.DataType_TYPE_BF16:   scoring.BF16,
	configpb.DataType_TYPE_FP32:   scoring.FP32,
	configpb.DataType_TYPE_FP64:   scoring.FP64,
	configpb.DataType_TYPE_STRING: scoring.Bytes,
}

// typeOf gives the configuration's name of a datatype; TYPE_INVALID for one it has none for.
func typeOf(d scoring.Datatype) configpb.DataType {
	for name, datatype := range datatypes {
		if datatype == d {
			return name
		}
	}
	return configpb.DataType_TYPE_INVALID
}
