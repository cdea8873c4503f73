package clients_test

import (
	"testing"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// asTriton are the settings under which Triton's clients find what they expect.
func asTriton(more ...string) map[string]string {
	settings := map[string]string{"ONDA_SERVER_NAME": "triton", "ONDA_MAX_BODY": "64Mi", "ONDA_MAX_QUEUE": "1024"}
	for i := 0; i+1 < len(more); i += 2 {
		settings[more[i]] = more[i+1]
	}
	return settings
}

// TestClients runs every client against one Onda.
func TestClients(t *testing.T) {
	python := pythonWithClients(t)
	models := writeModels(t)
	server := ondatest.Serve(t, ondaBinary, models, asTriton())
	for _, module := range []string{"triton_http", "triton_http_aio", "triton_grpc", "triton_grpc_aio", "kserve_rest", "kserve_grpc"} {
		t.Run(module, func(t *testing.T) { runModule(t, python, module, settingsFor(server, models)) })
	}
}

// TestModelControl lets clients load and unload models.
func TestModelControl(t *testing.T) {
	python := pythonWithClients(t)
	models := writeModels(t)
	server := ondatest.Serve(t, ondaBinary, models, asTriton("ONDA_MODEL_CONTROL", "explicit"))
	runModule(t, python, "model_control", settingsFor(server, models))
}

// TestClientsThroughDapr runs Triton's clients against Onda behind its sidecar, through the
// sidecar of another app.
func TestClientsThroughDapr(t *testing.T) {
	python := pythonWithClients(t)
	models := writeModels(t)
	server := ondatest.Serve(t, ondaBinary, models, asTriton())
	id := "onda-of-clients-" + unique()
	startSidecar(t, id, server.Port)
	caller := startSidecar(t, "caller-of-"+id, 0)
	caller.reaches(t, id)
	settings := settingsFor(server, models)
	settings["ONDA_TEST_DIRECT_HTTP"], settings["ONDA_TEST_DIRECT_GRPC"] = server.Address, server.Address
	settings["ONDA_TEST_HTTP"] = ondatest.Loopback(caller.httpPort) + "/v1.0/invoke/" + id + "/method"
	settings["ONDA_TEST_GRPC"] = ondatest.Loopback(caller.grpcPort)
	settings["ONDA_TEST_GRPC_METADATA"] = "dapr-app-id=" + id
	runModule(t, python, "through_dapr", settings)
}
