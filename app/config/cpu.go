package config

import (
	"bufio"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// Cores is how much of the processor models may use: the container's CPU quota with its
// fraction, or what GOMAXPROCS says where that is less, without the sidecar's share.
//
// GOMAXPROCS alone would not do: Go rounds the quota up, to 2 at least. Go's threads
// mostly wait, but those of a run do not, and the kernel stops a container that has used
// up its quota for the rest of a period of 100 ms: two runs on a quota of 1.5 stand still
// for 25 ms of each.
//
// The sidecar's share is none unless it is set. In Kubernetes the sidecar is a container
// with limits of its own. On a host without limits the kernel shares the cores fairly, and
// threads of a run that wait do not spin, so that a sidecar beside as many threads as
// cores answers as fast as beside fewer; a core kept free would be lost.
func (c Config) Cores() float64 { return c.cores(min(cpuQuota(), float64(Processors()))) }

// Processors is what GOMAXPROCS was when it was first asked for: who raises it for other
// reasons does not make cores.
var Processors = sync.OnceValue(func() int { return runtime.GOMAXPROCS(0) })

func (c Config) cores(limit float64) float64 { return max(limit-c.SidecarCPU, 0) }

// Concurrency is the number of runs at once, over all models.
func (c Config) Concurrency() int { return c.concurrency(c.Cores()) }

func (c Config) concurrency(cores float64) int { return orDefault(c.MaxConcurrency, atLeastOne(cores)) }

// Yielding is the number of bulk runs at once that make way for all other work, beside those
// of [Config.Concurrency]. There are none where the processor is bounded otherwise than by the
// machine's end, by a quota or by settings: nothing would take it from them then when an
// interactive run comes, and they would spend what belongs to that.
func (c Config) Yielding() int { return c.yielding(cpuQuota(), Processors(), runtime.NumCPU()) }

func (c Config) yielding(quota float64, processors, machine int) int {
	limit := min(quota, float64(processors))
	bounded := limit < float64(machine) || c.MaxConcurrency > 0 && c.MaxConcurrency < machine
	if bounded || c.Device != "cpu" || c.threads(c.cores(limit)) > 1 {
		return 0
	}
	return c.concurrency(c.cores(limit))
}

// Threads is the number of threads inside one run. The runs at once share the cores: more
// threads than cores make every run slower.
func (c Config) Threads() int { return c.threads(c.Cores()) }

func (c Config) threads(cores float64) int {
	return orDefault(c.IntraOpThreads, atLeastOne(cores/float64(c.concurrency(cores))))
}

// atLeastOne rounds down: what is left over is Go's.
func atLeastOne(n float64) int { return max(1, int(n)) }

// cpuQuota is the CPU quota of this process in cores; infinite where there is none.
var cpuQuota = sync.OnceValue(func() float64 { return readQuota(os.DirFS("/")) })

// readQuota finds the CPU quota of the process whose system root is: the least of its
// control group's and those that this one is in.
func readQuota(root fs.FS) float64 {
	groups, mounts := readGroups(root), readMounts(root)
	quota := math.Inf(1)
	for controller, mount := range mounts {
		group, found := groups[controller]
		if !found {
			continue
		}
		// Where the process does not see the whole tree, its own group may be the mount.
		below, found := strings.CutPrefix(group, strings.TrimSuffix(mount.root, "/"))
		if !found || below != "" && below[0] != '/' || strings.Contains(below, "..") {
			below = "/"
		}
		for below = path.Clean("/" + below); ; below = path.Dir(below) {
			quota = min(quota, readLimit(root, controller, path.Join(mount.point, below)))
			if below == "/" {
				break
			}
		}
	}
	return quota
}

// The two forms of control groups. Version 2 has one tree, version 1 one for each
// controller.
const (
	unified  = ""
	version1 = "cpu"
)

// readGroups gives the process's group in each of the two forms.
func readGroups(root fs.FS) map[string]string {
	groups := map[string]string{}
	for _, line := range lines(root, "proc/self/cgroup") {
		// 0::/group or 4:cpu,cpuacct:/group
		fields := strings.SplitN(line, ":", 3)
		if len(fields) != 3 {
			continue
		}
		if fields[0] == "0" && fields[1] == "" {
			groups[unified] = fields[2]
		} else if has(fields[1], version1) {
			groups[version1] = fields[2]
		}
	}
	return groups
}

// mount is where the group root is seen at point.
type mount struct{ root, point string }

// readMounts gives the mount of each of the two forms.
func readMounts(root fs.FS) map[string]mount {
	mounts := map[string]mount{}
	for _, line := range lines(root, "proc/self/mountinfo") {
		// 31 23 0:28 /root /point rw,relatime optional... - type source options
		before, after, found := strings.Cut(line, " - ")
		where, what := strings.Fields(before), strings.Fields(after)
		if !found || len(where) < 5 || len(what) < 3 {
			continue
		}
		m := mount{where[3], where[4]}
		switch {
		case what[0] == "cgroup2":
			mounts[unified] = m
		case what[0] == "cgroup" && has(what[2], version1):
			mounts[version1] = m
		}
	}
	return mounts
}

// readLimit reads the limit of the group whose folder is dir; infinite for none.
func readLimit(root fs.FS, controller, dir string) float64 {
	dir = strings.TrimPrefix(dir, "/")
	var quota, period string
	if controller == unified {
		// "150000 100000", or "max 100000" for none.
		quota, period, _ = strings.Cut(text(root, path.Join(dir, "cpu.max")), " ")
	} else {
		quota, period = text(root, path.Join(dir, "cpu.cfs_quota_us")), text(root, path.Join(dir, "cpu.cfs_period_us"))
	}
	q, errQuota := strconv.ParseFloat(quota, 64)
	p, errPeriod := strconv.ParseFloat(period, 64)
	if errQuota != nil || errPeriod != nil || q <= 0 || p <= 0 {
		return math.Inf(1)
	}
	return q / p
}

// has says whether list, with commas, has word.
func has(list, word string) bool {
	for each := range strings.SplitSeq(list, ",") {
		if each == word {
			return true
		}
	}
	return false
}

// text reads a short file; "" for one that is not there.
func text(root fs.FS, name string) string {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// lines reads the lines of a file; none of one that is not there.
func lines(root fs.FS, name string) (all []string) {
	f, err := root.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		all = append(all, s.Text())
	}
	return all
}
