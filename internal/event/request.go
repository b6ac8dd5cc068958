package event

import (
	"crypto/ed25519"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
)

// request is what a server signs of a request (Server-Server API, Request
// Authentication).
type request struct {
	Method        string                       `json:"method"`
	URI           string                       `json:"uri"`
	Origin        matrix.ServerName            `json:"origin"`
	Destination   string                       `json:"destination,omitzero"`
	DestinationIs string                       `json:"destination_is,omitzero"` // see SignIdentityRequest
	Content       jsontext.Value               `json:"content,omitzero"`
	Signatures    map[string]map[string]string `json:"signatures,omitzero"`
}

// SignRequest returns the value of the Authorization header with which origin
// sends a request to destination. uri is the path with its query, content the
// JSON body, empty for none.
func SignRequest(
	method, uri string, origin matrix.ServerName, destination string, content []byte, key SigningKey,
) (string, error) {
	return request{Method: method, URI: uri, Origin: origin, Destination: destination, Content: content}.sign(key)
}

// SignIdentityRequest is [SignRequest] in the form that Synapse and Sydent had
// among themselves before it was specified, and that Sydent still takes alone:
// what is signed has its destination under destination_is.
func SignIdentityRequest(
	method, uri string, origin matrix.ServerName, destination string, content []byte, key SigningKey,
) (string, error) {
	return request{Method: method, URI: uri, Origin: origin, DestinationIs: destination, Content: content}.sign(key)
}

func (r request) sign(key SigningKey) (string, error) {
	if len(r.Content) == 0 {
		r.Content = nil
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	message, err := Canonical(raw)
	if err != nil {
		return "", err
	}
	return matrix.XMatrix{
		Origin: r.Origin, Destination: r.Destination + r.DestinationIs, Key: key.ID, Signature: key.Sign(message),
	}.String(), nil
}

// VerifyRequest checks what [SignRequest] made, for this destination, with the
// public key of the id that auth names. Senders from before v1.3 do not name the
// destination; it is signed all the same.
func VerifyRequest(method, uri, destination string, content []byte, auth matrix.XMatrix, key ed25519.PublicKey) error {
	if auth.Destination != "" && auth.Destination != destination {
		return fmt.Errorf("the request is for %s, not for %s", auth.Destination, destination)
	}
	if len(content) == 0 {
		content = nil
	}
	raw, err := json.Marshal(request{
		Method: method, URI: uri, Origin: auth.Origin, Destination: destination, Content: content,
		Signatures: map[string]map[string]string{string(auth.Origin): {auth.Key: auth.Signature}},
	})
	if err != nil {
		return err
	}
	return VerifyJSON(raw, string(auth.Origin), auth.Key, key)
}
