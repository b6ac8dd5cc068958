package event_test

import (
	"strings"
	"testing"

	"lethe/internal/event"
	"lethe/internal/matrix"
)

const (
	uri  = "/_matrix/identity/v2/3pid/unbind?x=%2F"
	body = `{"mxid":"@a:example.org","threepid":{"medium":"email","address":"é"}}`
)

func signedRequest(t *testing.T, content string) matrix.XMatrix {
	t.Helper()
	header, err := event.SignRequest("POST", uri, "origin.example", "id.example:8090", []byte(content), specKey(t))
	if err != nil {
		t.Fatal(err)
	}
	auth, err := matrix.ParseXMatrix(header)
	if err != nil {
		t.Fatal(err)
	}
	return auth
}

func TestSignedRequestVerifies(t *testing.T) {
	public := specKey(t).Public()
	auth := signedRequest(t, body)
	if auth.Origin != "origin.example" || auth.Destination != "id.example:8090" || auth.Key != "ed25519:1" {
		t.Errorf("the header says %+v", auth)
	}
	spaced := strings.ReplaceAll(body, ":", " :\n")
	spaced = strings.Replace(spaced, "@a :\nexample", "@a:example", 1)
	for name, content := range map[string]string{"as it is": body, "with other space": spaced} {
		if err := event.VerifyRequest("POST", uri, "id.example:8090", []byte(content), auth, public); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	auth.Destination = "" // the sender is from before v1.3
	if err := event.VerifyRequest("POST", uri, "id.example:8090", []byte(body), auth, public); err != nil {
		t.Errorf("without a destination in the header: %v", err)
	}
	empty := signedRequest(t, "")
	for _, content := range [][]byte{nil, {}} {
		if err := event.VerifyRequest("POST", uri, "id.example:8090", content, empty, public); err != nil {
			t.Errorf("without a body: %v", err)
		}
	}
}

func TestSignatureCoversTheWholeRequest(t *testing.T) {
	public := specKey(t).Public()
	auth := signedRequest(t, body)
	with := func(change func(*matrix.XMatrix)) matrix.XMatrix {
		changed := auth
		change(&changed)
		return changed
	}
	for _, tc := range []struct {
		name, method, uri, destination, content string
		auth                                    matrix.XMatrix
	}{
		{"method", "PUT", uri, "id.example:8090", body, auth},
		{"path", "POST", "/_matrix/identity/v2/3pid/bind?x=%2F", "id.example:8090", body, auth},
		{"query", "POST", strings.TrimSuffix(uri, "?x=%2F"), "id.example:8090", body, auth},
		{"encoding of the path", "POST", strings.Replace(uri, "%2F", "/", 1), "id.example:8090", body, auth},
		{"destination", "POST", uri, "id.example", body, auth},
		{"destination in the header", "POST", uri, "id.example:8090", body, with(func(x *matrix.XMatrix) { x.Destination = "other.example" })},
		{"destination not in the header", "POST", uri, "other.example", body, with(func(x *matrix.XMatrix) { x.Destination = "" })},
		{"body", "POST", uri, "id.example:8090", strings.Replace(body, "@a", "@b", 1), auth},
		{"no body", "POST", uri, "id.example:8090", "", auth},
		{"empty object", "POST", uri, "id.example:8090", "{}", auth},
		{"body is not JSON", "POST", uri, "id.example:8090", "{", auth},
		{"key twice in the body", "POST", uri, "id.example:8090", strings.Replace(body, "{", `{"mxid":"@a:example.org",`, 1), auth},
		{"origin", "POST", uri, "id.example:8090", body, with(func(x *matrix.XMatrix) { x.Origin = "other.example" })},
		{"algorithm", "POST", uri, "id.example:8090", body, with(func(x *matrix.XMatrix) { x.Key = "rsa:1" })},
		{"signature", "POST", uri, "id.example:8090", body, with(func(x *matrix.XMatrix) { x.Signature = sigOne })},
	} {
		if err := event.VerifyRequest(tc.method, tc.uri, tc.destination, []byte(tc.content), tc.auth, public); err == nil {
			t.Errorf("%s changed: the request verifies", tc.name)
		}
	}
	if _, err := event.SignRequest("POST", uri, "a", "b", []byte(`{"a":0.5}`), specKey(t)); err == nil {
		t.Error("a body without a canonical form is signed")
	}
}
