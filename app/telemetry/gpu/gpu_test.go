package gpu_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/telemetry"
	"github.com/onda-serving/onda/app/telemetry/gpu"
)

// build makes a library that answers as NVML does. There is no GPU where tests run: what they
// show is how the library is called, and not what a driver says.
func build(t *testing.T, source string) string {
	t.Helper()
	compiler, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("there is no C compiler to make a library with")
	}
	dir := t.TempDir()
	file, library := filepath.Join(dir, "nvml.c"), filepath.Join(dir, "libnvidia-ml.so.1")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), compiler, "-shared", "-fPIC", "-o", library, file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return library
}

const twoGPUs = `
#include <stdint.h>
#include <string.h>
typedef struct { int index; } *device;
static struct { int index; } devices[2] = {{0}, {1}};
static int started;
int nvmlInit_v2(void) { started++; return 0; }
int nvmlShutdown(void) { return started-- == 1 ? 0 : 1; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, device *d) { *d = (device)&devices[i]; return 0; }
int nvmlDeviceGetUUID(device d, char *uuid, unsigned n) { if (n < 41) return 7; strcpy(uuid, d->index ? "GPU-b" : "GPU-a"); return 0; }
int nvmlDeviceGetMemoryInfo(device d, uint64_t *m) { m[0] = 80ull << 30; m[1] = 50ull << 30; m[2] = 30ull << 30; return 0; }
int nvmlDeviceGetUtilizationRates(device d, unsigned *u) { u[0] = 25; u[1] = 99; return 0; }
int nvmlDeviceGetPowerUsage(device d, unsigned *mw) { if (d->index) return 3; *mw = 250500; return 0; }
int nvmlDeviceGetEnforcedPowerLimit(device d, unsigned *mw) { *mw = 700000; return 0; }
int nvmlDeviceGetTotalEnergyConsumption(device d, uint64_t *mj) { *mj = 5000000000ull; return 0; }
`

func TestRead(t *testing.T) {
	t.Parallel()
	nvml, err := gpu.Open(build(t, twoGPUs))
	if err != nil {
		t.Fatal(err)
	}
	first := telemetry.GPU{UUID: "GPU-a", Total: 80 << 30, Free: 50 << 30, Used: 30 << 30, Utilization: 0.25, Power: 250.5, PowerLimit: 700, Energy: 5e6}
	second := first
	second.UUID, second.Power = "GPU-b", 0 // which does not say
	if got := nvml.Read(); len(got) != 2 || got[0] != first || got[1] != second {
		t.Errorf("got %+v, want %+v and %+v", got, first, second)
	}
	if err := nvml.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ source, want string }{
		"no GPU":        {strings.Replace(twoGPUs, "{ started++; return 0; }", "{ return 9; }", 1), "does not start: error 9"},
		"no count":      {strings.Replace(twoGPUs, "{ *n = 2; return 0; }", "{ return 15; }", 1), "does not count the GPUs: error 15"},
		"no handle":     {strings.Replace(twoGPUs, "*d = (device)&devices[i]; return 0;", "return 15;", 1), "does not give GPU 0: error 15"},
		"no name":       {strings.Replace(twoGPUs, "if (n < 41) return 7;", "return 7;", 1), "does not name GPU 0: error 7"},
		"an old driver": {strings.Replace(twoGPUs, "nvmlDeviceGetTotalEnergyConsumption", "nvmlSomethingElse", 1), "has no nvmlDeviceGetTotalEnergyConsumption"},
	} {
		if _, err := gpu.Open(build(t, test.source)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	if _, err := gpu.Open(filepath.Join(t.TempDir(), "nothing.so")); err == nil || !strings.Contains(err.Error(), "comes with the driver") {
		t.Errorf("got %v, want to hear where the library comes from", err)
	}
}
