# Every command a person types. `make help` lists them.
CONFIGURATION ?= Release
DOTNET        ?= dotnet
CLI           := cli/bin/$(CONFIGURATION)/net10.0/moebius
export DOTNET_CLI_TELEMETRY_OPTOUT = 1
export DOTNET_NOLOGO = 1

QUICKSTART := samples/quickstart.yaml
PROMPT := It was the custom of the family to sit together in the evening, and Mr. Bennet, who had been reading by the fire, put down his book and said to his wife,

.PHONY: help up down build test test-unit test-vm bench-cxl bench-kvcache bench-operator crds charts prerequisites clean images bench-inference

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

up: build ## Build, start the quickstart on this machine, and ask the model something.
	@bin/moebius local up -f $(QUICKSTART) --host-path /var/lib/moebius/models=samples/models --chat "$(PROMPT)" --detach

down: ## Stop what `make up` started and remove its files.
	@if [ -x bin/moebius ]; then bin/moebius local down; else echo "bin/moebius is not built: what an earlier build started is stopped after 'make build'"; fi

build: prerequisites ## Build bin/moebius, the one program with all verbs.
	@echo "Building (the first time downloads about 250 MB of packages) ..."
	@$(DOTNET) build cli/Moebius.Cli.csproj -c $(CONFIGURATION) -v quiet -clp:NoSummary
	@mkdir -p bin && ln -sfn ../$(CLI) bin/moebius
	@echo "bin/moebius is ready"

test: prerequisites ## Run all tests, among them those against a real kube-apiserver and etcd.
	@build/test.sh $(CONFIGURATION) all

test-unit: prerequisites ## Run the tests of what decides and of small parts: no server, program or Kubernetes API; under two minutes.
	@build/test.sh $(CONFIGURATION) unit

test-vm: prerequisites ## Boot a virtual machine with CXL memory and sched_ext, and test the scheduler in it.
	@build/vm/test.sh $(CONFIGURATION)
	@build/vm/test.sh $(CONFIGURATION) observer

.PHONY: test-cluster
test-cluster: images ## Run the quickstart on a real node with the images of this checkout; needs root and takes some minutes.
	@build/kubernetes/assets.sh >/dev/null
	@$(DOTNET) build tests/Cluster.Tests -c $(CONFIGURATION) -v quiet -clp:NoSummary
	@tests/Cluster.Tests/bin/$(CONFIGURATION)/net10.0/Moebius.Cluster.Tests

bench-cxl: prerequisites ## Measure the node agent, as docs/benchmarks/cxl.md describes; takes about ten minutes.
	@$(DOTNET) build tests/Bench -c $(CONFIGURATION) -v quiet -clp:NoSummary
	@tests/Bench/bin/$(CONFIGURATION)/net10.0/Moebius.Bench cxl

bench-kvcache: build ## Measure the KV cache, as docs/benchmarks/kvcache.md describes; takes well over half an hour, with MOEBIUS_BENCH_KILLS=50 some minutes.
	@$(DOTNET) build tests/Bench -c $(CONFIGURATION) -v quiet -clp:NoSummary
	@tests/Bench/bin/$(CONFIGURATION)/net10.0/Moebius.Bench kvcache

bench-inference: build ## Measure the inference pod, as docs/benchmarks/inference-speed.md describes.
	@$(DOTNET) build tests/Bench -c $(CONFIGURATION) -v quiet -clp:NoSummary
	@tests/Bench/bin/$(CONFIGURATION)/net10.0/Moebius.Bench inference

bench-operator: build ## Measure the operator with a thousand MoEDeployments, as docs/benchmarks/operator.md describes; takes about six minutes.
	@build/kubernetes/assets.sh >/dev/null
	@$(DOTNET) build tests/Bench -c $(CONFIGURATION) -v quiet -clp:NoSummary
	@tests/Bench/bin/$(CONFIGURATION)/net10.0/Moebius.Bench operator

.PHONY: bench chart
bench: bench-inference bench-kvcache bench-cxl bench-operator ## Measure everything, one after the other; takes hours.

crds: build ## Write crds/manifests, operator/manifests and docs/api.md from the C# types.
	@bin/moebius crds generate
	@bin/moebius operator rbac -o operator/manifests/rbac.yaml
	@bin/moebius operator node-agents -o operator/manifests/node-agents.yaml
	@bin/moebius operator webhook -o operator/manifests/webhook.yaml

chart: charts

charts: crds ## Bring the charts and the kustomize base up to date with the C# types.
	@charts/sync.sh

images: prerequisites ## Build the container images, without a container engine or a registry, into bin/images.
	@$(DOTNET) build build/images -c $(CONFIGURATION) -v quiet -clp:NoSummary
	@build/images/bin/$(CONFIGURATION)/net10.0/Moebius.Images --output bin/images $(if $(REGISTRY),--registry $(REGISTRY))

prerequisites:
	@build/prerequisites.sh

clean: ## Remove what was built.
	@rm -rf bin */bin */obj */*/bin */*/obj build/vm/driver/bin build/vm/driver/obj
