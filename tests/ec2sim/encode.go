// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
)

const (
	apiVersion = "2016-11-15"
	namespace  = "http://ec2.amazonaws.com/doc/2016-11-15/"
	accountID  = "123456789012"
)

// answer is what an action returns: a struct that embeds head.
type answer interface{ setHead(requestID string) }

// head is what every answer begins with.
type head struct {
	Xmlns     string `xml:"xmlns,attr"`
	RequestID string `xml:"requestId"`
}

func (h *head) setHead(requestID string) { h.Xmlns, h.RequestID = namespace, requestID }

// done is the answer of actions that have nothing to say.
type done struct {
	head
	Return bool `xml:"return"`
}

func writeAnswer(w http.ResponseWriter, name, requestID string, a answer) {
	a.setHead(requestID)
	var body bytes.Buffer
	body.WriteString(xml.Header)
	start := xml.StartElement{Name: xml.Name{Local: name + "Response"}}
	if err := xml.NewEncoder(&body).EncodeElement(a, start); err != nil {
		writeError(w, requestID, internal(err))
		return
	}
	write(w, http.StatusOK, body.String())
}

// errorDocument is how EC2 says no.
type errorDocument struct {
	XMLName   xml.Name `xml:"Response"`
	Code      string   `xml:"Errors>Error>Code"`
	Message   string   `xml:"Errors>Error>Message"`
	RequestID string   `xml:"RequestID"`
}

func writeError(w http.ResponseWriter, requestID string, e *Error) {
	if e.Code == "" {
		write(w, e.Status, e.body)
		return
	}
	body, err := xml.Marshal(errorDocument{Code: e.Code, Message: e.Message, RequestID: requestID})
	if err != nil {
		body = []byte(err.Error())
	}
	write(w, e.Status, xml.Header+string(body))
}

func write(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(status)
	// A client that has gone away needs no answer.
	_, _ = io.WriteString(w, body)
}

// Pieces that several answers have.

type stateXML struct {
	Code int    `xml:"code"`
	Name string `xml:"name"`
}

type groupXML struct {
	ID   string `xml:"groupId"`
	Name string `xml:"groupName"`
}

type tagXML struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

type blockXML struct {
	AssociationID string `xml:"associationId"`
	CIDR          string `xml:"cidrBlock"`
	State         string `xml:"cidrBlockState>state"`
}

type block6XML struct {
	AssociationID string `xml:"associationId"`
	CIDR          string `xml:"ipv6CidrBlock"`
	State         string `xml:"ipv6CidrBlockState>state"`
}

func groupsXML(ids []string) []groupXML {
	var out []groupXML
	for _, id := range ids {
		out = append(out, groupXML{ID: id, Name: "group-" + id})
	}
	return out
}
