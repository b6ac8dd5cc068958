package adminapi_test

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"lethe/internal/adminapi"
	"lethe/internal/config"
	"lethe/internal/hstest"
)

// document is the API's own document, and which of its operations a test has
// seen answered.
type document struct {
	t     *testing.T
	raw   []byte
	root  object
	asked map[string]bool
}

func newDocument(t *testing.T) *document {
	t.Helper()
	raw, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := &document{t: t, raw: raw, asked: map[string]bool{}}
	if err := yaml.Unmarshal(raw, &d.root); err != nil {
		t.Fatal(err)
	}
	return d
}

// resolve follows a reference to where it leads.
func (d *document) resolve(schema object) object {
	ref, ok := schema["$ref"].(string)
	if !ok {
		return schema
	}
	at := d.root
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		next, ok := at[name].(object)
		if !ok {
			d.t.Fatalf("%s leads nowhere", ref)
		}
		at = next
	}
	return d.resolve(at)
}

// operations are those of the document, as "METHOD path".
func (d *document) operations() (list []string) {
	d.t.Helper()
	ids := map[any]bool{}
	for path, methods := range d.root["paths"].(object) {
		for method, op := range methods.(object) {
			name := strings.ToUpper(method) + " " + path
			list = append(list, name)
			id, ok := op.(object)["operationId"]
			if !ok || op.(object)["summary"] == nil || ids[id] {
				d.t.Errorf("%s has no operationId of its own, or no summary", name)
			}
			ids[id] = true
			var described []any
			parameters, _ := op.(object)["parameters"].([]any)
			for _, p := range parameters {
				if p := d.resolve(p.(object)); p["in"] == "path" {
					described = append(described, p["name"])
				}
			}
			for segment := range strings.SplitSeq(path, "/") {
				parameter, isParameter := strings.CutPrefix(segment, "{")
				if parameter = strings.TrimSuffix(parameter, "}"); isParameter && !slices.Contains(described, any(parameter)) {
					d.t.Errorf("%s does not describe its parameter %s", name, parameter)
				}
			}
		}
	}
	slices.Sort(list)
	return list
}

// TestTheDocumentHasEveryRoute, and every route is in the document.
func TestTheDocumentHasEveryRoute(t *testing.T) {
	var routes []string
	for _, r := range (&adminapi.API{}).Routes() {
		if path := strings.TrimPrefix(r.Path, prefix); path != "/openapi.yaml" {
			routes = append(routes, r.Method+" "+path)
		}
	}
	slices.Sort(routes)
	if diff := cmp.Diff(routes, newDocument(t).operations()); diff != "" {
		t.Errorf("routes (-) and document (+):\n%s", diff)
	}
}

// check tells what of a value is not as its schema says. It knows what the
// document uses of JSON Schema, and is stricter in one thing: a name that the
// schema does not have is a mistake too.
func (d *document) check(where string, schema object, v any) []string {
	schema = d.resolve(schema)
	if choices, ok := schema["oneOf"].([]any); ok {
		fits := 0
		for _, choice := range choices {
			if len(d.check(where, choice.(object), v)) == 0 {
				fits++
			}
		}
		if fits != 1 {
			return []string{fmt.Sprintf("%s: %v fits %d of its schemas", where, v, fits)}
		}
		return nil
	}
	types, ok := schema["type"].([]any)
	if !ok && schema["type"] != nil {
		types = []any{schema["type"]}
	}
	if types != nil && !slices.ContainsFunc(types, func(name any) bool { return isOf(name, v) }) {
		return []string{fmt.Sprintf("%s: %v is not of the type %v", where, v, types)}
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, v) {
		return []string{fmt.Sprintf("%s: %v is none of %v", where, v, enum)}
	}
	switch v := v.(type) {
	case object:
		return d.checkObject(where, schema, v)
	case []any:
		var wrong []string
		for i, item := range v {
			wrong = append(wrong, d.check(fmt.Sprintf("%s[%d]", where, i), schema["items"].(object), item)...)
		}
		return wrong
	}
	return nil
}

func (d *document) checkObject(where string, schema, v object) (wrong []string) {
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			wrong = append(wrong, fmt.Sprintf("%s: %v is not there", where, name))
		}
	}
	properties, _ := schema["properties"].(object)
	more, _ := schema["additionalProperties"].(object)
	for name, value := range v {
		of, ok := properties[name].(object)
		if !ok {
			of = more
		}
		if of == nil {
			wrong = append(wrong, fmt.Sprintf("%s: %s is not in the schema", where, name))
			continue
		}
		wrong = append(wrong, d.check(where+"."+name, of, value)...)
	}
	return wrong
}

// isOf tells whether a value is of a type of JSON Schema.
func isOf(name, v any) bool {
	switch v := v.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case string:
		return name == "string"
	case float64:
		return name == "number" || name == "integer" && v == math.Trunc(v)
	case []any:
		return name == "array"
	}
	return name == "object"
}

// ask makes a request, and checks that the answer is one that the document has
// for this operation.
func (d *document) ask(s *hstest.Server, token string, status int, method, template string, body any, values ...string) hstest.Answer {
	d.t.Helper()
	name := method + " " + template
	operation, ok := d.root["paths"].(object)[template].(object)[strings.ToLower(method)].(object)
	if !ok {
		d.t.Fatalf("%s is not in the document", name)
	}
	answers := operation["responses"].(object)
	response, ok := answers[fmt.Sprint(status)].(object)
	if !ok {
		response = answers["default"].(object)
	}
	path := prefix + strings.NewReplacer(values...).Replace(template)
	a := s.Do(method, path, token, body)
	if a.Status != status {
		d.t.Fatalf("%s = %d %s, want %d", name, a.Status, a.Raw, status)
	}
	content := d.resolve(response)["content"].(object)
	media, ok := content[a.Header.Get("Content-Type")].(object)
	if !ok {
		d.t.Fatalf("%s: the document has no answer of the type %q", name, a.Header.Get("Content-Type"))
	}
	if schema, ok := media["schema"].(object); ok {
		for _, wrong := range d.check(name, schema, a.Body) {
			d.t.Error(wrong)
		}
	}
	if status == http.StatusOK {
		d.asked[name] = true
	}
	return a
}

// TestAnswersAreAsTheDocumentSays: those of every operation, and errors.
func TestAnswersAreAsTheDocumentSays(t *testing.T) {
	ids := hstest.NewIdentityServer(t)
	ids.AnswerUnbind(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		d := newDocument(t)
		admin := root(t, s)
		askAboutUsers(d, s, admin.Token, ids)
		askAboutTokens(d, s, admin.Token)
		askAboutRooms(d, s, admin.Token)
		d.ask(s, admin.Token, http.StatusOK, "GET", "/audit", nil)
		askAboutGrace(t, d, s.DB.Engine())
		var asked []string
		for name := range d.asked {
			asked = append(asked, name)
		}
		slices.Sort(asked)
		if diff := cmp.Diff(d.operations(), asked); diff != "" {
			t.Errorf("operations of the document (-) and those that were asked (+):\n%s", diff)
		}
	}, hstest.Trust(t, ids))
}

func askAboutUsers(d *document, s *hstest.Server, token string, ids *hstest.IdentityServer) {
	d.t.Helper()
	user := []string{"{userId}", "alice"}
	alice := s.Register("alice")
	s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/account/3pid/bind", alice.Token, object{
		"sid": "a@example.org", "client_secret": "secret", "id_server": ids.Name, "id_access_token": "token",
	})
	d.ask(s, token, http.StatusOK, "POST", "/users", object{"localpart": "bob"})
	d.ask(s, token, http.StatusBadRequest, "POST", "/users", object{"localpart": "bob"})
	d.ask(s, token, http.StatusOK, "POST", "/users/{userId}/password", object{"password": "battery-staple"}, user...)
	d.ask(s, token, http.StatusOK, "GET", "/users/{userId}/export", nil, user...)
	d.ask(s, token, http.StatusOK, "POST", "/users/{userId}/deactivate", object{"dry_run": true, "erase": true}, user...)
	d.ask(s, token, http.StatusBadRequest, "POST", "/users/{userId}/deactivate", object{"id_server": "not a name"}, user...)
	ended := d.ask(s, token, http.StatusOK, "POST", "/users/{userId}/deactivate", object{"erase": true}, user...)
	d.ask(s, token, http.StatusOK, "GET", "/users/{userId}", nil, user...)
	d.ask(s, token, http.StatusOK, "GET", "/users", nil)
	ending := []string{"{id}", ended.String("id")}
	for _, path := range []string{"/deactivations/{id}", "/deactivations/{id}/receipt"} {
		d.ask(s, token, http.StatusOK, "GET", path, nil, ending...)
		d.ask(s, token, http.StatusNotFound, "GET", path, nil, "{id}", "none")
	}
	d.ask(s, token, http.StatusOK, "GET", "/work", nil)
	d.ask(s, token, http.StatusOK, "POST", "/deactivations/{id}/retry", nil, ending...)
	d.ask(s, token, http.StatusForbidden, "POST", "/users/{userId}/reactivate", nil, user...)

	carol := s.Register("carol")
	ended = s.Want(http.StatusOK, "", http.MethodPost, prefix+"/users/carol/deactivate", token, nil)
	s.Eventually("carol's steps are done", func() bool {
		return s.Do(http.MethodGet, prefix+"/deactivations/"+ended.String("id"), token, nil).String("state") == "done"
	})
	d.ask(s, token, http.StatusOK, "GET", "/deactivations/{id}/receipt", nil, "{id}", ended.String("id"))
	d.ask(s, token, http.StatusOK, "GET", "/deactivations", nil)
	d.ask(s, token, http.StatusOK, "POST", "/users/{userId}/reactivate", nil, "{userId}", carol.UserID)
}

func askAboutTokens(d *document, s *hstest.Server, token string) {
	d.t.Helper()
	made := d.ask(s, token, http.StatusOK, "POST", "/registration_tokens", object{"uses_allowed": 2, "expiry_time": 7})
	d.ask(s, token, http.StatusOK, "GET", "/registration_tokens", nil)
	one := []string{"{token}", made.String("token")}
	d.ask(s, token, http.StatusOK, "PUT", "/registration_tokens/{token}", object{"uses_allowed": nil}, one...)
	d.ask(s, token, http.StatusOK, "GET", "/registration_tokens/{token}", nil, one...)
	d.ask(s, token, http.StatusOK, "DELETE", "/registration_tokens/{token}", nil, one...)
	d.ask(s, token, http.StatusNotFound, "GET", "/registration_tokens/{token}", nil, one...)
}

func askAboutRooms(d *document, s *hstest.Server, token string) {
	d.t.Helper()
	dave, erin := s.Register("dave"), s.Register("erin")
	notice := object{"user_id": dave.UserID, "body": "Hello"}
	d.ask(s, token, http.StatusOK, "POST", "/notices", notice)
	d.ask(s, token, http.StatusNotFound, "POST", "/notices", object{"user_id": "@nobody:example.org", "body": "Hello"})
	s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/users/"+dave.UserID+"/report", erin.Token,
		object{"reason": "rude"})
	a := d.ask(s, token, http.StatusOK, "GET", "/reports", nil)
	if list, _ := a.Get("reports").([]any); len(list) != 1 || list[0].(object)["user_id"] != dave.UserID {
		d.t.Errorf("the reports are %s", a.Raw)
	}
}

// askAboutGrace asks a server where endings can be taken back.
func askAboutGrace(t *testing.T, d *document, engine string) {
	t.Helper()
	s := hstest.New(t, engine, hstest.Set(func(c *config.Settings) { c.DeactivationGrace = config.Duration(time.Hour) }))
	token := root(t, s).Token
	s.Register("alice")
	ended := d.ask(s, token, http.StatusOK, "POST", "/users/{userId}/deactivate", nil, "{userId}", "alice")
	ending := []string{"{id}", ended.String("id")}
	d.ask(s, token, http.StatusOK, "GET", "/deactivations/{id}", nil, ending...)
	d.ask(s, token, http.StatusOK, "GET", "/deactivations/{id}/receipt", nil, ending...)
	d.ask(s, token, http.StatusBadRequest, "POST", "/deactivations/{id}/retry", nil, ending...)
	d.ask(s, token, http.StatusOK, "POST", "/deactivations/{id}/undo", nil, ending...)
}
