// Package azure_test runs the commands of deploy/azure with fakes of az, tofu, helm and kubectl, the guide's commands with
// the same fakes, and holds the table of costs against its prices. Nothing here reaches Azure.
package azure_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUpWritesVariablesFirst(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	output, code, calls := m.run(t, "", []string{"YES=1", "ONDA_AZURE_MY_IP=203.0.113.7"}, "deploy/azure/up.sh")
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, output)
	}
	says(t, output, "edit it as you like", "Nothing was made")
	never(t, calls, "tofu")
	text, err := os.ReadFile(filepath.Join(m.root, ".local/azure/onda.tfvars"))
	if err != nil {
		t.Fatal(err)
	}
	says(t, string(text), `subscription_id = "00000000-0000-0000-0000-000000000000"`,
		`tenant_id       = "33333333-3333-3333-3333-333333333333"`, `authorized_ip_ranges = ["203.0.113.7/32"]`)
}

func TestUpShowsThePlanAndAsks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, answer string
		env          []string
		code         int
		applied      bool
	}{
		{"yes", "yes\n", nil, 0, true},
		{"no", "no\n", nil, 1, false},
		{"nobody there", "", nil, 1, false},
		{"YES=1", "", []string{"YES=1"}, 0, true},
		{"plan only", "yes\n", []string{"PLAN_ONLY=1"}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.variables(t, "")
			output, code, calls := m.run(t, tt.answer, tt.env, "deploy/azure/up.sh")
			if code != tt.code {
				t.Fatalf("exit code %d, not %d:\n%s", code, tt.code, output)
			}
			says(t, output, "Trial (00000000-0000-0000-0000-000000000000)", "westeurope", "Plan: 60 to add")
			inOrder(t, calls, "az account show", "tofu init", "az vm list-usage --location westeurope", "tofu plan")
			if tt.applied {
				inOrder(t, calls, "tofu plan", "tofu apply ROOT/.local/azure/plan")
			} else {
				never(t, calls, "tofu apply")
			}
		})
	}
}

// TestUpAsksWhoIsLetIn: a server of somebody else hears of this machine only where that was said.
func TestUpAsksWhoIsLetIn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, answer string
		env          []string
		looked       bool
		want         string
	}{
		{"typed", "198.51.100.4\n", nil, false, "Nothing was made"},
		{"lookup typed", "lookup\n", nil, true, "Nothing was made"},
		{"nobody there", "", nil, false, "is not known"},
		{"YES=1 is no yes to that", "", []string{"YES=1"}, false, "is not known"},
		{"given", "", []string{"YES=1", "ONDA_AZURE_MY_IP=198.51.100.4"}, false, "Nothing was made"},
		{"lookup given", "", []string{"YES=1", "ONDA_AZURE_MY_IP=lookup"}, true, "Nothing was made"},
		{"no address", "", []string{"ONDA_AZURE_MY_IP=here"}, false, "is not known"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			output, _, calls := newMachine(t).run(t, tt.answer, tt.env, "deploy/azure/up.sh")
			says(t, output, tt.want)
			if tt.looked {
				inOrder(t, calls, "curl -s -m 10 https://api.ipify.org")
			} else {
				never(t, calls, "curl")
			}
		})
	}
}

func TestUpRefusesQuotas(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, cpu, gpu, variables, want string }{
		{"CPU", "50", "4", "", "the system and CPU pools needs 56 cores of 'standardDDSv5Family' in westeurope, of which 40 are free: request a limit of 66 or more"},
		{"GPU", "100", "0", "gpu_enabled = true # the second step\n", "the GPU pool needs 4 cores of 'Standard NCASv3_T4 Family' in westeurope, of which 0 are free: request a limit of 4 or more"},
		{"spot", "100", "4", "gpu_enabled = true\ngpu_spot = true\n", "the GPU pool, as spot needs 4 cores of 'lowPriorityCores'"},
		{"more nodes", "100", "4", "cpu_nodes = { min = 2, max = 40 }\n", "needs 184 cores of 'standardDDSv5Family'"},
		{"unknown family", "100", "4", "gpu_enabled = true\ngpu_vm_family = \"noFamily\"\n", "westeurope knows no quota family 'noFamily'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.quotas(t, tt.cpu, tt.gpu)
			m.variables(t, tt.variables)
			output, code, calls := m.run(t, "", []string{"YES=1"}, "deploy/azure/up.sh")
			if code != 1 {
				t.Fatalf("exit code %d:\n%s", code, output)
			}
			says(t, output, tt.want, "nothing was made")
			never(t, calls, "tofu plan")
			never(t, calls, "tofu apply")
		})
	}
}

// What is there counts as used: a second run must not ask for it again, but for a GPU pool that is new.
func TestUpAsksOnlyForNewPools(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.made(t)
	m.quotas(t, "10", "0")
	output, code, calls := m.run(t, "", []string{"YES=1"}, "deploy/azure/up.sh")
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, output)
	}
	never(t, calls, "az vm list-usage")
	m.variables(t, "gpu_enabled = true\n")
	output, code, _ = m.run(t, "", []string{"YES=1"}, "deploy/azure/up.sh")
	if code != 1 {
		t.Fatalf("exit code %d:\n%s", code, output)
	}
	says(t, output, "the GPU pool needs 4 cores")
}

func TestWrongSubscription(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write(t, filepath.Join(m.root, ".local/azure/onda.tfvars"), "subscription_id = \"11111111-1111-1111-1111-111111111111\"\n")
	for _, script := range []string{"up.sh", "deploy.sh", "status.sh", "down.sh"} {
		output, code, calls := m.run(t, "", []string{"YES=1"}, "deploy/azure/"+script)
		if code != 1 {
			t.Errorf("%s: exit code %d", script, code)
		}
		says(t, output, "az account set --subscription 11111111-1111-1111-1111-111111111111")
		never(t, calls, "tofu")
	}
}

func TestMissingPrograms(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ program, script, want string }{
		{"az", "up.sh", "az is missing: install the Azure CLI"},
		{"jq", "up.sh", "jq is missing"},
		{"tofu", "up.sh", "tofu is missing: install OpenTofu"},
		{"helm", "deploy.sh", "helm is missing"},
		{"kubectl", "deploy.sh", "kubectl is missing"},
		{"kubelogin", "status.sh", "kubelogin is missing"},
	} {
		t.Run(tt.program, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.made(t)
			if err := os.Remove(filepath.Join(m.bin, tt.program)); err != nil {
				t.Fatal(err)
			}
			output, code, _ := m.run(t, "", []string{"YES=1"}, "deploy/azure/"+tt.script)
			if code != 1 {
				t.Errorf("exit code %d", code)
			}
			says(t, output, "error: "+tt.want)
		})
	}
}

func TestNotLoggedIn(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	output, code, _ := m.run(t, "", []string{"FAKE_FAIL=az account show*"}, "deploy/azure/up.sh")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	says(t, output, "run az login")
}

func TestRemoteState(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.variables(t, "")
	_, code, calls := m.run(t, "", []string{"YES=1", "ONDA_AZURE_STATE=states/ondastate/tofu"}, "deploy/azure/up.sh")
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	inOrder(t, calls, "tofu init -reconfigure -backend-config=resource_group_name=states -backend-config=storage_account_name=ondastate -backend-config=container_name=tofu")
	output, code, _ := m.run(t, "", []string{"YES=1", "ONDA_AZURE_STATE=states"}, "deploy/azure/up.sh")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	says(t, output, "must be RESOURCE_GROUP/ACCOUNT/CONTAINER")
}

func TestDeploy(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.made(t)
	env := []string{"YES=1", "ONDA_IMAGE_TAG=1.2.3"}
	output, code, calls := m.run(t, "", env, "deploy/azure/deploy.sh")
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, output)
	}
	says(t, output, "the-registry_server/onda:1.2.3", "the-cluster_name", "profile cpu")
	inOrder(t, calls, "tofu output -json chart_values", "az acr build --registry the-registry --image onda:1.2.3 --target onda --build-arg VERSION=1.2.3", "az aks get-credentials",
		"kubelogin convert-kubeconfig -l azurecli", "kubectl create namespace the-namespace", "kubectl apply -f -",
		"kubectl label namespace the-namespace --overwrite pod-security.kubernetes.io/enforce=restricted",
		"kubectl -n dapr-system rollout status", "helm upgrade --install onda ROOT/deploy/chart --namespace the-namespace -f ROOT/.local/azure/values.json --set serviceAccount.name=the-service_account")
	text, err := os.ReadFile(filepath.Join(m.root, ".local/azure/values.json"))
	if err != nil {
		t.Fatal(err)
	}
	says(t, string(text), `"repository": "onda.azurecr.io/onda"`, `"tag": "1.2.3"`, `"keyVault": "onda-kv"`)

	// Once more: what is there is not built again.
	output, code, calls = m.run(t, "", env, "deploy/azure/deploy.sh")
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, output)
	}
	never(t, calls, "az acr build")
	inOrder(t, calls, "helm upgrade --install")
}

func TestDeployAsks(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.made(t)
	_, code, calls := m.run(t, "", []string{"ONDA_IMAGE_TAG=1"}, "deploy/azure/deploy.sh")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, call := range []string{"az acr build", "kubectl", "helm", "az aks get-credentials"} {
		never(t, calls, call)
	}
}

func TestDeployRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, want string
		made       bool
		env        []string
	}{
		{"no cluster", "run make azure-up first", false, []string{"ONDA_IMAGE_TAG=1"}},
		{"no pool", "set gpu_enabled = true", true, []string{"ONDA_IMAGE_TAG=1", "PROFILE=gpu"}},
		{"no such profile", "must be cpu or gpu, not tpu", true, []string{"ONDA_IMAGE_TAG=1", "PROFILE=tpu"}},
		{"no name for the image", "name the image yourself", true, nil},
		{"no builder", "install docker or podman", true, []string{"ONDA_IMAGE_TAG=1", "FAKE_PRIVATE=true"}},
		{"Dapr is not ready", "Dapr is not ready", true, []string{"ONDA_IMAGE_TAG=1", "FAKE_FAIL=kubectl -n dapr-system*"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.variables(t, "")
			if tt.made {
				m.made(t)
			}
			output, code, calls := m.run(t, "", append(tt.env, "YES=1"), "deploy/azure/deploy.sh")
			if code != 1 {
				t.Errorf("exit code %d", code)
			}
			says(t, output, tt.want)
			never(t, calls, "helm")
		})
	}
}

func TestDeployToGPUs(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.made(t)
	// make exports the TARGET of its own images.
	output, code, calls := m.run(t, "", []string{"YES=1", "ONDA_IMAGE_TAG=1", "TARGET=onda", "PROFILE=gpu", "EVENTS=1", "FAKE_GPU=true", "ONDA_CHART_VALUES=my.yaml"}, "deploy/azure/deploy.sh")
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, output)
	}
	says(t, output, "the-registry_server/onda:1-cuda")
	inOrder(t, calls, "az acr build --registry the-registry --image onda:1-cuda --target onda-cuda", "kubectl apply -f ROOT/deploy/azure/gpu/device-plugin.yaml",
		"helm upgrade --install onda ROOT/deploy/chart --namespace the-namespace -f ROOT/deploy/chart/values-gpu.yaml -f ROOT/deploy/chart/values-events.yaml -f ROOT/.local/azure/values.json -f my.yaml")
}

func TestStatusChangesNothing(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.made(t)
	output, code, calls := m.run(t, "", nil, "deploy/azure/status.sh")
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, output)
	}
	says(t, output, "== cluster", "== Dapr", "== pods", "the-grafana")
	for _, call := range []string{"tofu apply", "tofu plan", "helm upgrade", "kubectl apply", "az acr"} {
		never(t, calls, call)
	}
	// A part that fails does not hide the others, and is told.
	output, code, _ = m.run(t, "", []string{"FAKE_FAIL=az k8s-extension*"}, "deploy/azure/status.sh")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	says(t, output, "(this could not be read)", "== pods")
}

func TestDownAsksForTheName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, answer string
		env          []string
		code         int
	}{
		{"the name", "the-resource_group\n", nil, 0},
		{"only yes", "yes\n", nil, 1},
		{"nobody there", "", nil, 1},
		{"YES=1", "", []string{"YES=1"}, 0},
		{"the cluster does not answer", "", []string{"YES=1", "FAKE_FAIL=az aks*"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.made(t)
			output, code, calls := m.run(t, tt.answer, tt.env, "deploy/azure/down.sh")
			if code != tt.code {
				t.Fatalf("exit code %d:\n%s", code, output)
			}
			says(t, output, "60 to destroy", "the Key Vault the-key_vault, deleted but kept for 30 days")
			if code != 0 {
				never(t, calls, "tofu apply")
				never(t, calls, "helm")
				return
			}
			inOrder(t, calls, "tofu plan -destroy", "az aks get-credentials", "tofu apply")
			output, code, calls = m.run(t, "", tt.env, "deploy/azure/down.sh")
			if code != 0 || !strings.Contains(output, "nothing to remove") {
				t.Errorf("a second time, exit code %d:\n%s", code, output)
			}
			never(t, calls, "tofu apply")
		})
	}
}
