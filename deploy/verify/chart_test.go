// Package verify_test lints and renders the chart as Helm does, holds what comes out to the types of Kubernetes, and loads
// the compose file as Compose does.
package verify_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint/support"
)

const chartDir = "../helm/treeline"

// least are the values that must be given.
func least() map[string]any {
	return map[string]any{"rootURL": "https://ci.example.com", "database": map[string]any{"url": "postgres://treeline@db/treeline"}}
}

// everything switches on what can be.
func everything() map[string]any {
	return map[string]any{
		"rootURL":  "https://ci.example.com",
		"image":    map[string]any{"repository": "registry.example.com/treeline", "digest": "sha256:" + strings.Repeat("a", 64), "pullSecrets": []any{map[string]any{"name": "pull"}}},
		"replicas": 3, "database": map[string]any{"existingSecret": "db"}, "secretsJSON": map[string]any{"existingSecret": "tl"}, "pulse": map[string]any{"existingSecret": "pulse"},
		"config":         map[string]any{"objectStores": map[string]any{"uploads": "s3"}, "login": map[string]any{"providers": []any{}}, "pools": map[string]any{"providers": map[string]any{"static": map[string]any{"type": "static"}}}},
		"env":            []any{map[string]any{"name": "TREELINE_MAIL_FROM", "value": "ci@example.com"}},
		"envFrom":        []any{map[string]any{"secretRef": map[string]any{"name": "more"}}},
		"extraArgs":      []any{"--verbose"},
		"trustedProxies": []any{"10.0.0.0/8"},
		"metrics":        map[string]any{"enabled": true, "existingSecret": "metrics", "podMonitor": true},
		"ingress":        map[string]any{"enabled": true, "className": "nginx", "tlsSecret": "tls"},
		"networkPolicy":  map[string]any{"from": []any{map[string]any{"namespaceSelector": map[string]any{"matchLabels": map[string]any{"name": "ingress"}}}}},
		"podAnnotations": map[string]any{"a": "b"}, "podLabels": map[string]any{"c": "d"}, "nodeSelector": map[string]any{"e": "f"},
		"tolerations": []any{map[string]any{"key": "k", "operator": "Exists"}},
		"affinity":    map[string]any{"podAntiAffinity": map[string]any{}},
		"worker": map[string]any{"enabled": true, "image": map[string]any{"repository": "registry.example.com/worker"}, "taskQueue": "garage/linux", "existingSecret": "worker",
			"extraArgs": []any{"--verbose"}},
	}
}

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func render(t *testing.T, values map[string]any) (map[string]string, error) {
	t.Helper()
	c := load(t)
	all, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{Name: "ci", Namespace: "treeline", Revision: 1, IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, all)
}

func TestHelmFindsNothingToSay(t *testing.T) {
	for name, values := range map[string]map[string]any{"least": least(), "everything": everything()} {
		t.Run(name, func(t *testing.T) {
			lint := action.NewLint()
			lint.Strict = true
			result := lint.Run([]string{chartDir}, values)
			for _, m := range result.Messages {
				if m.Severity > support.InfoSev {
					t.Error(m)
				}
			}
			for _, err := range result.Errors {
				t.Error(err)
			}
		})
	}
}

// kinds are what the chart may make; each document must be read into its type with no key left.
func typed(kind string) any {
	switch kind {
	case "Deployment":
		return &appsv1.Deployment{}
	case "Job":
		return &batchv1.Job{}
	case "Service":
		return &corev1.Service{}
	case "ServiceAccount":
		return &corev1.ServiceAccount{}
	case "Secret":
		return &corev1.Secret{}
	case "ConfigMap":
		return &corev1.ConfigMap{}
	case "PersistentVolumeClaim":
		return &corev1.PersistentVolumeClaim{}
	case "Ingress":
		return &networkingv1.Ingress{}
	case "NetworkPolicy":
		return &networkingv1.NetworkPolicy{}
	case "PodDisruptionBudget":
		return &policyv1.PodDisruptionBudget{}
	default:
		return nil
	}
}

func documents(t *testing.T, values map[string]any) map[string]any {
	t.Helper()
	files, err := render(t, values)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	for name, text := range files {
		if strings.HasSuffix(name, ".txt") || strings.TrimSpace(text) == "" {
			continue
		}
		for _, doc := range strings.Split(text, "\n---\n") {
			var head struct {
				APIVersion string `json:"apiVersion"`
				Kind       string `json:"kind"`
				Metadata   struct {
					Name   string            `json:"name"`
					Labels map[string]string `json:"labels"`
				} `json:"metadata"`
			}
			if err := yaml.Unmarshal([]byte(doc), &head); err != nil || head.Kind == "" || head.Metadata.Name == "" {
				t.Fatalf("%s: %+v, %v\n%s", name, head, err, doc)
			}
			if head.Metadata.Labels["app.kubernetes.io/instance"] != "ci" {
				t.Errorf("%s: %s has labels %v", name, head.Kind, head.Metadata.Labels)
			}
			v := typed(head.Kind)
			if v == nil && head.Kind == "PodMonitor" { // a type of the Prometheus operator
				v = &map[string]any{}
			}
			if v == nil {
				t.Fatalf("%s makes a %s", name, head.Kind)
			}
			if err := yaml.UnmarshalStrict([]byte(doc), v); err != nil {
				t.Errorf("%s is no %s: %v\n%s", name, head.Kind, err, doc)
			}
			out[head.Kind+"/"+head.Metadata.Name] = v
		}
	}
	return out
}

func TestWhatIsMadeIsOfKubernetesTypes(t *testing.T) {
	made := documents(t, least())
	want := []string{"ConfigMap/ci-treeline", "Deployment/ci-treeline", "Job/ci-treeline-upgrade", "NetworkPolicy/ci-treeline", "PersistentVolumeClaim/ci-treeline",
		"PodDisruptionBudget/ci-treeline", "Secret/ci-treeline", "Service/ci-treeline", "ServiceAccount/ci-treeline"}
	if got := slices.Sorted(maps.Keys(made)); !slices.Equal(got, want) {
		t.Errorf("made %v\nwant %v", got, want)
	}
	all := documents(t, everything())
	for _, more := range []string{"Ingress/ci-treeline", "PodMonitor/ci-treeline", "Deployment/ci-treeline-worker"} {
		if all[more] == nil {
			t.Errorf("no %s", more)
		}
	}
	if all["Secret/ci-treeline"] != nil {
		t.Error("a secret is made although there is one")
	}
}

func TestTheParts(t *testing.T) {
	all := documents(t, everything())
	server := all["Deployment/ci-treeline"].(*appsv1.Deployment)
	pod := server.Spec.Template.Spec
	c := pod.Containers[0]
	t.Run("the service, the policy and the budget mean the server's pods", func(t *testing.T) {
		labels := server.Spec.Template.Labels
		for what, selector := range map[string]map[string]string{
			"service":    all["Service/ci-treeline"].(*corev1.Service).Spec.Selector,
			"policy":     all["NetworkPolicy/ci-treeline"].(*networkingv1.NetworkPolicy).Spec.PodSelector.MatchLabels,
			"budget":     all["PodDisruptionBudget/ci-treeline"].(*policyv1.PodDisruptionBudget).Spec.Selector.MatchLabels,
			"deployment": server.Spec.Selector.MatchLabels,
		} {
			for k, v := range selector {
				if labels[k] != v {
					t.Errorf("%s selects %s=%s, pods have %q", what, k, v, labels[k])
				}
			}
			worker := all["Deployment/ci-treeline-worker"].(*appsv1.Deployment).Spec.Template.Labels
			if worker["app.kubernetes.io/component"] == selector["app.kubernetes.io/component"] {
				t.Errorf("%s selects workers too", what)
			}
		}
	})
	t.Run("what is mounted is there", func(t *testing.T) {
		volumes := map[string]bool{}
		for _, v := range pod.Volumes {
			volumes[v.Name] = true
		}
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				t.Errorf("no volume %s", m.Name)
			}
		}
	})
	t.Run("settings lead to files of the config map", func(t *testing.T) {
		files := all["ConfigMap/ci-treeline"].(*corev1.ConfigMap).Data
		n := 0
		for _, e := range c.Env {
			if name, ok := strings.CutPrefix(e.Value, "/etc/treeline/"); ok {
				n++
				if files[name] == "" {
					t.Errorf("%s: no %s", e.Name, name)
				}
			}
			if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil && files[e.ValueFrom.ConfigMapKeyRef.Key] == "" {
				t.Errorf("%s: no %s", e.Name, e.ValueFrom.ConfigMapKeyRef.Key)
			}
		}
		if n != 3 {
			t.Errorf("%d files", n)
		}
	})
	t.Run("no rights", func(t *testing.T) {
		s := c.SecurityContext
		if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || fmt.Sprint(s.Capabilities.Drop) != "[ALL]" || !*pod.SecurityContext.RunAsNonRoot || *pod.AutomountServiceAccountToken {
			t.Errorf("%+v %+v", s, pod.SecurityContext)
		}
	})
	t.Run("probes ask ports that there are", func(t *testing.T) {
		for _, p := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			if !slices.ContainsFunc(c.Ports, func(port corev1.ContainerPort) bool { return port.Name == p.HTTPGet.Port.StrVal }) {
				t.Errorf("%+v", p.HTTPGet)
			}
		}
	})
	t.Run("the schema is upgraded by a hook before the servers", func(t *testing.T) {
		job := all["Job/ci-treeline-upgrade"].(*batchv1.Job)
		if job.Annotations["helm.sh/hook"] != "pre-upgrade" || !slices.Equal(job.Spec.Template.Spec.Containers[0].Args, []string{"db", "upgrade"}) {
			t.Errorf("%+v", job)
		}
		if image := job.Spec.Template.Spec.Containers[0].Image; image != c.Image || !strings.Contains(image, "@sha256:") {
			t.Errorf("%s and %s", image, c.Image)
		}
	})
}

func TestMistakesAreToldBeforeAnythingIsMade(t *testing.T) {
	for what, change := range map[string]func(map[string]any){
		"rootURL: give the address": func(v map[string]any) { delete(v, "rootURL") },
		"database: give":            func(v map[string]any) { delete(v, "database") },
		"additional":                func(v map[string]any) { v["replica"] = 3 },
		"metrics.existingSecret":    func(v map[string]any) { v["metrics"] = map[string]any{"enabled": true} },
		"worker.image.repository": func(v map[string]any) {
			v["worker"] = map[string]any{"enabled": true, "taskQueue": "a/b", "existingSecret": "s"}
		},
		"worker.taskQueue: give prov": func(v map[string]any) {
			v["worker"] = map[string]any{"enabled": true, "image": map[string]any{"repository": "r"}, "existingSecret": "s"}
		},
	} {
		values := least()
		change(values)
		if _, err := render(t, values); err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(what)) {
			t.Errorf("want an error with %q, got %v", what, err)
		}
	}
}
