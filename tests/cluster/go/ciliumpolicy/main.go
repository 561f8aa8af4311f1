// ciliumpolicy says what Cilium's own policy engine makes of policies: verdicts without a cluster.
//
// Reads {"policies": [CiliumClusterwideNetworkPolicy, …], "cases": [{"direction": "ingress"|"egress",
// "subject": labels, "peer": labels or {"cidr": "192.0.2.1/32"}, "port": 443, "protocol": "TCP"}, …]} from stdin and
// writes a JSON list of "allowed" or "denied". Labels are written as Cilium does, "source:key": value.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"

	"github.com/cilium/cilium/api/v1/models"
	ciliumv2 "github.com/cilium/cilium/pkg/k8s/apis/cilium.io/v2"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/sirupsen/logrus"
)

type testCase struct {
	Direction string            `json:"direction"`
	Subject   map[string]string `json:"subject"`
	Peer      map[string]string `json:"peer"`
	Port      uint16            `json:"port"`
	Protocol  string            `json:"protocol"`
}

type question struct {
	Policies []ciliumv2.CiliumClusterwideNetworkPolicy `json:"policies"`
	Cases    []testCase                                `json:"cases"`
}

func main() {
	logrus.SetOutput(os.Stderr)
	answers, err := run(os.Stdin)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(answers)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(input io.Reader) ([]string, error) {
	var asked question
	if err := json.NewDecoder(input).Decode(&asked); err != nil {
		return nil, err
	}
	repository := policy.NewPolicyRepository(nil, nil, nil)
	for i := range asked.Policies {
		rules, err := asked.Policies[i].Parse()
		if err != nil {
			return nil, err
		}
		repository.MustAddList(rules)
	}
	answers := make([]string, 0, len(asked.Cases))
	for _, one := range asked.Cases {
		verdict, err := decide(repository, one)
		if err != nil {
			return nil, err
		}
		answers = append(answers, verdict)
	}
	return answers, nil
}

func decide(repository *policy.Repository, one testCase) (string, error) {
	peer, err := identityLabels(one.Peer)
	if err != nil {
		return "", err
	}
	subject := labels.Map2Labels(one.Subject, "").LabelArray()
	context := policy.SearchContext{
		From:   subject,
		To:     peer,
		DPorts: []*models.Port{{Port: one.Port, Protocol: one.Protocol}},
	}
	repository.Mutex.RLock()
	defer repository.Mutex.RUnlock()
	switch one.Direction {
	case "egress":
		return repository.AllowsEgressRLocked(&context).String(), nil
	case "ingress":
		context.From, context.To = peer, subject
		return repository.AllowsIngressRLocked(&context).String(), nil
	}
	return "", fmt.Errorf("direction %q is neither ingress nor egress", one.Direction)
}

// identityLabels gives the labels of the identity that Cilium knows a peer by.
func identityLabels(peer map[string]string) (labels.LabelArray, error) {
	cidr, outside := peer["cidr"]
	if !outside {
		return labels.Map2Labels(peer, "").LabelArray(), nil
	}
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return nil, err
	}
	return labels.GetCIDRLabels(prefix).LabelArray(), nil
}
