package suite

import (
	"encoding/base64"
	"path/filepath"

	"github.com/onda-serving/onda/tests/bench/load"
	"github.com/onda-serving/onda/tests/bench/proc"
	"github.com/onda-serving/onda/tests/bench/testmodel"
)

// contender is a server that users would pick instead: how it is started, and how it is
// asked. What it serves lies in tests/bench/peers.
type contender struct {
	name string
	// module names its package in the requirements.
	module string
	// args starts it, from its folder of tests/bench/peers; bin is its virtual
	// environment's folder of programs.
	args func(bin, port, workers string) []string
	// env is what it needs besides BENCH_PORT, BENCH_WORKERS and BENCH_MODELS.
	env func(port, workers string) []string
	// wire says how pictures travel: as they are, or in base64 inside JSON.
	wire string
	// rows and picture ask for the two models, where paths or bodies are its own.
	rows, picture func(load.Request) load.Request
}

// The ways of a picture over the wire.
const (
	wireJPEG   = "JPEG"
	wireBase64 = "base64 in JSON"
)

// contenders are all that are measured beside Onda.
var contenders = []contender{
	{
		name: "fastapi", module: "fastapi", wire: wireJPEG,
		args: func(bin, port, workers string) []string {
			return []string{filepath.Join(bin, "uvicorn"), "serve:app", "--host", "127.0.0.1", "--port", port, "--workers", workers, "--no-access-log", "--log-level", "warning"}
		},
	},
	{
		name: "azureml", module: "azureml-inference-server-http", wire: wireJPEG,
		args: func(bin, port, workers string) []string {
			return []string{filepath.Join(bin, "azmlinfsrv"), "--entry_script", "score.py", "--port", port, "--worker_count", workers}
		},
		rows: at("/score"), picture: at("/score"),
	},
	{
		name: "mlserver", module: "mlserver", wire: wireBase64,
		args: func(bin, _, _ string) []string { return []string{filepath.Join(bin, "mlserver"), "start", "models"} },
		env: func(port, workers string) []string {
			if workers == "1" {
				workers = "0" // its documentation's way to score in the server's own process
			}
			env := []string{"MLSERVER_HOST=127.0.0.1", "MLSERVER_HTTP_PORT=" + port, "MLSERVER_PARALLEL_WORKERS=" + workers, "MLSERVER_DEBUG=false", "PYTHONPATH=.:.."}
			for _, name := range []string{"MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT"} {
				if free, err := proc.Port(); err == nil {
					env = append(env, name+"="+itoa(free))
				}
			}
			return env
		},
		picture: mlserverPicture,
	},
	{
		name: "bentoml", module: "bentoml", wire: wireJPEG,
		args: func(bin, port, _ string) []string {
			return []string{filepath.Join(bin, "bentoml"), "serve", "service:Onnx", "--host", "127.0.0.1", "--port", port}
		},
		env: func(string, string) []string { return []string{"BENTOML_DO_NOT_TRACK=True"} },
	},
	{
		name: "kserve", module: "kserve", wire: wireBase64,
		args:    func(bin, _, _ string) []string { return []string{filepath.Join(bin, "python"), "serve.py"} },
		picture: base64Picture,
	},
	{
		name: "litserve", module: "litserve", wire: wireBase64,
		args:    func(bin, _, _ string) []string { return []string{filepath.Join(bin, "python"), "serve.py"} },
		picture: base64Picture,
	},
}

// PeerNames are the names of all that are measured beside Onda.
func PeerNames() []string {
	names := make([]string, len(contenders))
	for i, c := range contenders {
		names[i] = c.name
	}
	return names
}

// at moves a request to another path.
func at(path string) func(load.Request) load.Request {
	return func(r load.Request) load.Request {
		r.Path = path
		return r
	}
}

// base64Picture sends the picture in a V1 request.
func base64Picture(r load.Request) load.Request {
	return predictBase64(r.Address, testmodel.Image, r.Body)
}

// mlserverPicture sends the picture as MLServer's protocol carries bytes.
func mlserverPicture(r load.Request) load.Request {
	body := `{"inputs":[{"name":"picture","shape":[1],"datatype":"BYTES","parameters":{"content_type":"base64"},"data":["` +
		base64.StdEncoding.EncodeToString(r.Body) + `"]}]}`
	r = predict(r.Address, testmodel.Image, "application/json", []byte(body))
	r.Path = "/v2/models/" + testmodel.Image + "/infer"
	return r
}
