// Package gpu reads what NVIDIA's GPUs say of themselves, through the library NVML that comes
// with their driver. The library is opened while the program runs, so that a machine without a
// GPU needs none, and the program is linked like any other.
package gpu

import (
	"bytes"
	"fmt"

	"github.com/ebitengine/purego"

	"github.com/onda-serving/onda/app/telemetry"
)

// Library is where the dynamic linker finds NVML.
const Library = "libnvidia-ml.so.1"

// uuidSize is the room for a UUID that NVML wants, in bytes (NVML_DEVICE_UUID_V2_BUFFER_SIZE).
const uuidSize = 96

// memory is nvmlMemory_t, in bytes.
type memory struct{ total, free, used uint64 }

// utilization is nvmlUtilization_t: the share of the last sample period in which a kernel ran, in
// percent, and the same of memory, which nobody asks for.
type utilization struct{ gpu, _ uint32 }

// NVML is the open library. It is safe for concurrent use, as the library is.
type NVML struct {
	handle  uintptr
	devices []device

	shutdown       func() int32
	getCount       func(count *uint32) int32
	getHandle      func(index uint32, device *uintptr) int32
	getUUID        func(device uintptr, uuid *byte, length uint32) int32
	getMemory      func(device uintptr, memory *memory) int32
	getUtilization func(device uintptr, utilization *utilization) int32
	getPower       func(device uintptr, milliwatts *uint32) int32
	getPowerLimit  func(device uintptr, milliwatts *uint32) int32
	getEnergy      func(device uintptr, millijoules *uint64) int32
}

// device is a GPU.
type device struct {
	handle uintptr
	uuid   string
}

// Open opens the library and finds the GPUs. The error says that there is no library, or what it
// answered.
func Open(library string) (*NVML, error) {
	handle, err := purego.Dlopen(library, purego.RTLD_LAZY|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("open NVML, which comes with the driver of the GPU: %w", err)
	}
	n := &NVML{handle: handle}
	var start func() int32
	for name, function := range map[string]any{
		"nvmlInit_v2": &start, "nvmlShutdown": &n.shutdown, "nvmlDeviceGetCount_v2": &n.getCount, "nvmlDeviceGetHandleByIndex_v2": &n.getHandle,
		"nvmlDeviceGetUUID": &n.getUUID, "nvmlDeviceGetMemoryInfo": &n.getMemory, "nvmlDeviceGetUtilizationRates": &n.getUtilization,
		"nvmlDeviceGetPowerUsage": &n.getPower, "nvmlDeviceGetEnforcedPowerLimit": &n.getPowerLimit, "nvmlDeviceGetTotalEnergyConsumption": &n.getEnergy,
	} {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			return nil, fmt.Errorf("%s has no %s: want the NVML of a driver of 2018 or later: %w", library, name, err)
		}
		purego.RegisterFunc(function, symbol)
	}
	if code := start(); code != 0 {
		return nil, fmt.Errorf("NVML does not start: error %d", code)
	}
	if err := n.find(); err != nil {
		n.shutdown()
		return nil, err
	}
	return n, nil
}

// find finds the GPUs.
func (n *NVML) find() error {
	var count uint32
	if code := n.getCount(&count); code != 0 {
		return fmt.Errorf("NVML does not count the GPUs: error %d", code)
	}
	for i := range count {
		var d device
		if code := n.getHandle(i, &d.handle); code != 0 {
			return fmt.Errorf("NVML does not give GPU %d: error %d", i, code)
		}
		uuid := make([]byte, uuidSize)
		if code := n.getUUID(d.handle, &uuid[0], uuidSize); code != 0 {
			return fmt.Errorf("NVML does not name GPU %d: error %d", i, code)
		}
		uuid, _, _ = bytes.Cut(uuid, []byte{0})
		d.uuid = string(uuid)
		n.devices = append(n.devices, d)
	}
	return nil
}

// Read asks every GPU. What one does not say, as some say nothing of their power, is 0.
func (n *NVML) Read() []telemetry.GPU {
	all := make([]telemetry.GPU, len(n.devices))
	for i, d := range n.devices {
		var (
			m                memory
			u                utilization
			power, powerMost uint32
			energy           uint64
		)
		g := telemetry.GPU{UUID: d.uuid}
		if n.getMemory(d.handle, &m) == 0 {
			g.Total, g.Free, g.Used = m.total, m.free, m.used
		}
		if n.getUtilization(d.handle, &u) == 0 {
			g.Utilization = float64(u.gpu) / 100
		}
		if n.getPower(d.handle, &power) == 0 {
			g.Power = float64(power) / 1000
		}
		if n.getPowerLimit(d.handle, &powerMost) == 0 {
			g.PowerLimit = float64(powerMost) / 1000
		}
		if n.getEnergy(d.handle, &energy) == 0 {
			g.Energy = float64(energy) / 1000
		}
		all[i] = g
	}
	return all
}

// Close closes the library. Nobody may be reading.
func (n *NVML) Close() error {
	if code := n.shutdown(); code != 0 {
		return fmt.Errorf("NVML does not stop: error %d", code)
	}
	return purego.Dlclose(n.handle)
}
