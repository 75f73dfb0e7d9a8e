// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
)

// STS gives out credentials of roles, as AWS's security token service does, with one access key for all.
type STS struct {
	// URL for AWS_ENDPOINT_URL_STS.
	URL    string
	server *httptest.Server
	mu     sync.Mutex
	asked  []string
}

// NewSTS gives out the access key.
func NewSTS(accessKeyID string) *STS {
	s := &STS{}
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, r.FormValue("Action")+" "+r.FormValue("RoleArn"))
		fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>`+
			`<AccessKeyId>%s</AccessKeyId><SecretAccessKey>x</SecretAccessKey><SessionToken>t</SessionToken>`+
			`<Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`, accessKeyID)
	}))
	s.URL = s.server.URL
	return s
}

// Asked lists actions and roles, such as "AssumeRole arn:…".
func (s *STS) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// Close ends it.
func (s *STS) Close() { s.server.Close() }
