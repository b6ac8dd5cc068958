package deactivation_test

import (
	"net/http"
	"strings"
	"testing"

	"lethe/internal/hstest"
	"lethe/internal/matrix"
)

// TestPushRulesAreExportedAsClientsGetThem, not as they are stored, which nobody
// else can read.
func TestPushRulesAreExportedAsClientsGetThem(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		s.Want(http.StatusOK, "", http.MethodPut, "/_matrix/client/v3/pushrules/global/content/cake", alice.Token,
			map[string]any{"pattern": "cake", "actions": []any{"notify"}})
		data := export(t, s, matrix.UserID(alice.UserID))["account_data.json"]
		for _, want := range []string{`"m.push_rules"`, `"global"`, `"cake"`, `".m.rule.message"`} {
			if !strings.Contains(data, want) {
				t.Errorf("the export has no %s: %s", want, data)
			}
		}
	})
}
