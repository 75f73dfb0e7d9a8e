// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/manifests"
)

// question is whether somebody may do something. Without a namespace it is about all of them.
type question struct{ namespace, group, resource, name, verb string }

func (q question) String() string {
	where, what := cmp.Or(q.namespace, "everywhere"), q.resource
	if q.name != "" {
		what += " " + q.name
	}
	return strings.Join([]string{where, cmp.Or(q.group, "core"), what, q.verb}, "\t")
}

// TestPermissions asks the API server, for operator and agent, about every verb on every resource that it serves. Beyond
// what any account may, what is allowed must be what the package's documentation says it needs: nothing less, nothing more.
func TestPermissions(t *testing.T) {
	config := rest.CopyConfig(install(t).Config)
	config.QPS = -1
	api := clientOf(t, config)
	questions := everything(t, config)
	if len(questions) < 1000 {
		t.Fatalf("only %d questions: resources are missing", len(questions))
	}
	anybody := ask(t, api, "anybody", questions)
	for account, source := range map[string]string{
		"underlay-operator": "../../operator/doc.go", "underlay-agent": "../../operator/agent/doc.go",
	} {
		t.Run(account, func(t *testing.T) {
			allowed := slices.DeleteFunc(ask(t, api, account, questions), func(q question) bool { return slices.Contains(anybody, q) })
			if diff := gocmp.Diff(lines(needed(t, source)), lines(allowed)); diff != "" {
				t.Errorf("manifests/base does not grant what %s needs (-needed +granted):\n%s", source, diff)
			}
		})
	}
}

// needed reads the permissions that a package's documentation lists.
func needed(t *testing.T, source string) []question {
	t.Helper()
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	var all []question
	for line := range strings.Lines(string(text)) {
		marker, found := strings.CutPrefix(strings.TrimSpace(line), "// +kubebuilder:rbac:")
		if !found {
			continue
		}
		fields := map[string][]string{"namespace": {""}, "resourceNames": {""}}
		for field := range strings.SplitSeq(marker, ",") {
			key, values, _ := strings.Cut(field, "=")
			fields[key] = strings.Split(strings.ReplaceAll(values, `"`, ""), ";")
		}
		for _, group := range fields["groups"] {
			for _, resource := range fields["resources"] {
				for _, name := range fields["resourceNames"] {
					for _, verb := range fields["verbs"] {
						all = append(all, question{fields["namespace"][0], group, resource, name, verb})
					}
				}
			}
		}
	}
	return all
}

// lines gives one line for each permission that does not follow from a wider one.
func lines(all []question) []string {
	there := map[question]bool{}
	for _, q := range all {
		there[q] = true
	}
	var out []string
	for q := range there {
		anywhere, unnamed, both := q, q, q
		anywhere.namespace, unnamed.name, both.namespace, both.name = "", "", "", ""
		if (q == anywhere || !there[anywhere]) && (q == unnamed || !there[unnamed]) && (q == both || !there[both]) {
			out = append(out, q.String())
		}
	}
	slices.Sort(out)
	return out
}

// everything gives all questions about what the API server serves, first those about all namespaces.
func everything(t *testing.T, config *rest.Config) []question {
	t.Helper()
	found, err := discovery.NewDiscoveryClientForConfigOrDie(config).ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	var questions []question
	for _, namespace := range []string{"", manifests.Namespace, "kube-system", "default"} {
		for _, list := range found {
			group, _, ok := strings.Cut(list.GroupVersion, "/")
			if !ok {
				group = ""
			}
			for _, resource := range list.APIResources {
				if namespace == "" || resource.Namespaced {
					questions = append(questions, about(namespace, group, resource.Name)...)
				}
			}
		}
	}
	return questions
}

// about gives all questions about one resource. Discovery of preferred versions leaves subresources out; those with
// power are listed here, as are the names that our roles know.
func about(namespace, group, resource string) []question {
	verbs := []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}
	switch resource {
	case "roles", "clusterroles":
		verbs = append(verbs, "bind", "escalate")
	case "serviceaccounts":
		verbs = append(verbs, "impersonate")
	}
	names := map[string]string{"leases": "underlay-operator", "daemonsets": "aws-node", "configmaps": "cilium-config"}
	var questions []question
	for _, verb := range verbs {
		questions = append(questions, question{namespace, group, resource, "", verb})
		if name := names[resource]; name != "" && namespace != "" {
			questions = append(questions, question{namespace, group, resource, name, verb})
		}
	}
	for _, sub := range []string{"status", "finalizers", "exec", "proxy", "token", "binding", "eviction", "ephemeralcontainers"} {
		for _, verb := range []string{"get", "create", "update", "patch"} {
			questions = append(questions, question{namespace, group, resource + "/" + sub, "", verb})
		}
	}
	return questions
}

// ask gives the questions that the API server answers with yes for a service account of ours, in their order.
func ask(t *testing.T, api client.Client, account string, questions []question) []question {
	t.Helper()
	answers := make([]bool, len(questions))
	var running sync.WaitGroup
	const parallel = 8
	for worker := range parallel {
		running.Go(func() {
			for i := worker; i < len(questions); i += parallel {
				yes, err := may(t, api, account, questions[i])
				if err != nil {
					t.Errorf("%s: %v", questions[i], err)
					return
				}
				answers[i] = yes
			}
		})
	}
	running.Wait()
	var yes []question
	for i, q := range questions {
		if answers[i] {
			yes = append(yes, q)
		}
	}
	return yes
}

func may(t *testing.T, api client.Client, account string, q question) (bool, error) {
	t.Helper()
	resource, sub, _ := strings.Cut(q.resource, "/")
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User:   "system:serviceaccount:" + manifests.Namespace + ":" + account,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + manifests.Namespace, "system:authenticated"},
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: q.namespace, Group: q.group, Resource: resource, Subresource: sub, Name: q.name, Verb: q.verb,
		},
	}}
	if err := api.Create(t.Context(), review); err != nil {
		return false, fmt.Errorf("ask the API server: %w", err)
	}
	return review.Status.Allowed, nil
}
