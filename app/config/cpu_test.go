package config

import (
	"math"
	"runtime"
	"testing"
	"testing/fstest"
)

// system makes the files of a system; pairs are a name and its text.
func system(pairs ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		files[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1] + "\n")}
	}
	return files
}

const (
	v2Mount = "30 23 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 none rw,nsdelegate"
	v1Mount = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup none rw,cpu,cpuacct"
	v1Set   = "33 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime shared:9 - cgroup none rw,cpuset"
	mounts  = "proc/self/mountinfo"
	groups  = "proc/self/cgroup"
)

func TestReadQuota(t *testing.T) {
	t.Parallel()
	none := math.Inf(1)
	tests := []struct {
		name  string
		files fstest.MapFS
		want  float64
	}{
		{"no control groups", system(), none},
		{"a container's own tree", system(groups, "0::/", mounts, v2Mount, "sys/fs/cgroup/cpu.max", "150000 100000"), 1.5},
		{"no limit", system(groups, "0::/", mounts, v2Mount, "sys/fs/cgroup/cpu.max", "max 100000"), none},
		{"the root group has no file", system(groups, "0::/", mounts, v2Mount), none},
		{"a group of its own", system(groups, "0::/a/b", mounts, v2Mount, "sys/fs/cgroup/a/b/cpu.max", "50000 100000"), 0.5},
		{"a parent has less", system(groups, "0::/a/b", mounts, v2Mount, "sys/fs/cgroup/a/b/cpu.max", "400000 100000", "sys/fs/cgroup/a/cpu.max", "50000 20000"), 2.5},
		{"a parent has more", system(groups, "0::/a/b", mounts, v2Mount, "sys/fs/cgroup/a/b/cpu.max", "100000 100000", "sys/fs/cgroup/a/cpu.max", "400000 100000"), 1},
		{"version 1", system(groups, "4:cpu,cpuacct:/\n3:cpuset:/", mounts, v1Set+"\n"+v1Mount, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "250000", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000"), 2.5},
		{"version 1 without limit", system(groups, "4:cpu,cpuacct:/", mounts, v1Mount, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000"), none},
		{"cpuset is another controller", system(groups, "3:cpuset:/", mounts, v1Set, "sys/fs/cgroup/cpuset/cpu.cfs_quota_us", "100000", "sys/fs/cgroup/cpuset/cpu.cfs_period_us", "100000"), none},
		{
			"version 1, a bind mount of the group",
			system(groups, "4:cpu:/docker/f00", mounts, "32 31 0:29 /docker/f00 /sys/fs/cgroup/cpu ro - cgroup none rw,cpu", "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "75000", "sys/fs/cgroup/cpu/cpu.cfs_period_us", "50000"), 1.5,
		},
		{
			"both, and the limit is in version 1",
			system(groups, "4:cpu:/x\n0::/y", mounts, v2Mount+"\n32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup none rw,cpu", "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "100000", "sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000"), 1,
		},
		{"a group outside the mount", system(groups, "0::/../other", mounts, v2Mount, "sys/fs/cgroup/cpu.max", "300000 100000"), 3},
		{"nonsense", system(groups, "x\n0::/", mounts, "y - z\n"+v2Mount, "sys/fs/cgroup/cpu.max", "many few"), none},
		{"no time at all", system(groups, "0::/", mounts, v2Mount, "sys/fs/cgroup/cpu.max", "0 0"), none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := readQuota(tt.files); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestConcurrencyAndThreads never has more threads than cores, but for one.
func TestConcurrencyAndThreads(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                 string
		limit                float64
		cfg                  Config
		concurrency, threads int
	}{
		{"one run for each core", 4, Config{}, 4, 1},
		{"a fraction is left over", 3.5, Config{}, 3, 1},
		{"less than a core", 0.5, Config{}, 1, 1},
		{"the sidecar's share", 4, Config{SidecarCPU: 0.5}, 3, 1},
		{"the sidecar's share is all", 1, Config{SidecarCPU: 2}, 1, 1},
		{"one run at a time gets all cores", 4, Config{MaxConcurrency: 1}, 1, 4},
		{"one run at a time beside the sidecar", 8, Config{MaxConcurrency: 1, SidecarCPU: 0.5}, 1, 7},
		{"cores that runs cannot share evenly", 8, Config{MaxConcurrency: 3}, 3, 2},
		{"more runs than cores", 2, Config{MaxConcurrency: 8}, 8, 1},
		{"as set", 2, Config{MaxConcurrency: 3, IntraOpThreads: 5}, 3, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cores := tt.cfg.cores(tt.limit)
			if got := tt.cfg.concurrency(cores); got != tt.concurrency {
				t.Errorf("concurrency: got %d, want %d", got, tt.concurrency)
			}
			if got := tt.cfg.threads(cores); got != tt.threads {
				t.Errorf("threads: got %d, want %d", got, tt.threads)
			}
		})
	}
}

// TestCores is about the machine of the test, whatever that is.
func TestCores(t *testing.T) {
	t.Parallel()
	var c Config
	if got := c.Cores(); got <= 0 || got > float64(runtime.GOMAXPROCS(0)) {
		t.Errorf("got %v cores, want more than 0 and at most %d", got, runtime.GOMAXPROCS(0))
	}
	if got := c.Concurrency() * c.Threads(); float64(got) > max(c.Cores(), 1) {
		t.Errorf("got %d threads on %v cores", got, c.Cores())
	}
}

// TestYielding: bulk may make way only where the system takes the processor from it in time.
func TestYielding(t *testing.T) {
	t.Parallel()
	none := math.Inf(1)
	tests := []struct {
		name                string
		quota               float64
		processors, machine int
		cfg                 Config
		want                int
	}{
		{"a machine of our own", none, 4, 4, Config{Device: "cpu"}, 4},
		{"a quota that is no bound", 4, 4, 4, Config{Device: "cpu"}, 4},
		{"a sidecar with a share", none, 4, 4, Config{Device: "cpu", SidecarCPU: 1}, 3},
		{"a quota", 2, 4, 4, Config{Device: "cpu"}, 0},
		{"GOMAXPROCS", none, 2, 4, Config{Device: "cpu"}, 0},
		{"fewer runs at once", none, 4, 4, Config{Device: "cpu", MaxConcurrency: 2}, 0},
		{"more runs at once", none, 4, 4, Config{Device: "cpu", MaxConcurrency: 8}, 8},
		{"several threads in a run", none, 4, 4, Config{Device: "cpu", IntraOpThreads: 2}, 0},
		{"a GPU", none, 4, 4, Config{Device: "cuda"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.cfg.yielding(tt.quota, tt.processors, tt.machine); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
