// Package test holds what is checked of the repository as a whole.
package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module   = "lethe/"
	maxLines = 500
)

// domain is the packages that know what an account is and decide about it.
var domain = []string{
	"internal/account",
	"internal/appservice",
	"internal/deactivation",
	"internal/door",
	"internal/filter",
	"internal/history",
	"internal/identity",
	"internal/job",
	"internal/presence",
	"internal/push",
	"internal/room",
	"internal/serverkey",
	"internal/syncing",
}

// imports is the map: what each package may import of this program. A package
// that is not on it may not exist; docs/design.md tells what each is for.
var imports = map[string][]string{
	"internal/cache":     {},
	"internal/crash":     {},
	"internal/matrix":    {},
	"internal/metrics":   {},
	"internal/ratelimit": {"internal/cache"},

	"internal/config":   {"internal/matrix"},
	"internal/event":    {"internal/matrix"},
	"internal/mail":     {"internal/crash", "internal/matrix"},
	"internal/outbound": {"internal/crash"},

	"internal/storage":             {"internal/crash", "internal/event", "internal/matrix"},
	"internal/storage/storagetest": {"internal/storage"},
	"internal/state":               {"internal/cache", "internal/event", "internal/matrix", "internal/storage"},
	"internal/door":                {"internal/cache", "internal/event", "internal/matrix", "internal/state", "internal/storage"},
	"internal/door/doortest": {
		"internal/door", "internal/event", "internal/matrix", "internal/state", "internal/storage",
	},

	"internal/appservice": {"internal/matrix"},
	"internal/identity":   {"internal/event", "internal/matrix", "internal/outbound"},
	"internal/job":        {"internal/matrix", "internal/storage"},
	"internal/serverkey":  {"internal/event", "internal/matrix", "internal/storage"},
	"internal/account": {
		"internal/cache", "internal/event", "internal/identity", "internal/mail", "internal/matrix", "internal/ratelimit",
		"internal/storage",
	},
	"internal/position": {"internal/matrix"},
	"internal/filter":   {"internal/event", "internal/matrix"},
	"internal/history": {
		"internal/door", "internal/event", "internal/filter", "internal/matrix", "internal/position", "internal/state",
		"internal/storage",
	},
	"internal/room": {
		"internal/account", "internal/door", "internal/event", "internal/identity", "internal/job", "internal/matrix",
		"internal/state", "internal/storage",
	},
	"internal/hub": {"internal/matrix", "internal/storage"},
	"internal/syncing": {
		"internal/cache", "internal/door", "internal/event", "internal/filter", "internal/hub", "internal/matrix",
		"internal/position", "internal/push", "internal/state", "internal/storage",
	},
	"internal/presence": {"internal/matrix", "internal/storage", "internal/syncing"},
	"internal/push": {
		"internal/cache", "internal/door", "internal/event", "internal/matrix", "internal/state", "internal/storage",
	},
	"internal/deactivation": {
		"internal/account", "internal/door", "internal/event", "internal/identity", "internal/job", "internal/mail",
		"internal/matrix", "internal/push", "internal/room", "internal/storage",
	},

	"internal/wire":          {"internal/matrix", "internal/metrics"},
	"internal/adminapi":      api(),
	"internal/clientapi":     api("internal/event", "internal/position", "internal/ratelimit"),
	"internal/federationapi": api("internal/event"),
	"internal/web":           api("internal/ratelimit"),

	"internal/app": slices.Concat(domain, []string{
		"internal/adminapi", "internal/clientapi", "internal/config", "internal/event", "internal/federationapi",
		"internal/hub", "internal/mail", "internal/matrix", "internal/metrics", "internal/outbound", "internal/ratelimit",
		"internal/state", "internal/storage", "internal/web", "internal/wire",
	}),
	"internal/hstest": {
		"client", "internal/app", "internal/config", "internal/event", "internal/matrix", "internal/storage", "internal/storage/storagetest",
	},

	"client":    {},
	"cmd/lethe": {"client", "internal/app", "internal/config", "internal/deactivation"},
	"test":      {},
	"test/door": {"internal/adminapi", "internal/clientapi", "internal/federationapi", "internal/web"},
	"test/e2e": {
		"internal/adminapi", "internal/clientapi", "internal/federationapi", "internal/storage/storagetest",
		"internal/web",
	},
}

// api is what an API package may import: plumbing, the domain and the values it
// returns, which storage defines. Its statements are the domain's to call.
func api(more ...string) []string {
	return slices.Concat(domain, []string{"internal/cache", "internal/matrix", "internal/storage", "internal/wire"}, more)
}

// inTests is what the tests of every package may import besides.
var inTests = []string{
	"client", "internal/config", "internal/door/doortest", "internal/event", "internal/hstest", "internal/hub",
	"internal/storage/storagetest",
}

// onlyIn is the imports that belong to some packages alone, by the start of
// their path. Tests follow it, too.
var onlyIn = map[string][]string{
	"database/sql":                {"internal/storage"},
	"github.com/jackc/pgx":        {"internal/storage"},
	"github.com/pressly/goose":    {"internal/storage"},
	"modernc.org/sqlite":          {"internal/storage"},
	"github.com/wneessen/go-mail": {"internal/mail"},
}

// servers is what makes a server of net/http, and servePackages the packages
// that may, outside of tests; hstest plays the servers of others to them.
var (
	servers = []string{
		"Handle", "HandleFunc", "ListenAndServe", "ListenAndServeTLS", "NewServeMux", "Serve", "ServeMux", "ServeTLS",
		"Server",
	}
	servePackages = []string{
		"internal/adminapi", "internal/app", "internal/clientapi", "internal/federationapi", "internal/hstest",
		"internal/web", "internal/wire",
	}
)

// file is one Go file of the module.
type file struct {
	path  string // from the root of the module, with slashes
	dir   string
	test  bool
	ast   *ast.File
	fset  *token.FileSet
	lines int
}

func TestImportsFollowTheMap(t *testing.T) {
	for _, f := range files(t) {
		allowed, known := imports[f.dir]
		if !known {
			t.Errorf("%s: package %s is not on the map in test/layout_test.go", f.path, f.dir)
			continue
		}
		for _, imported := range f.imports(t) {
			if dir, ours := strings.CutPrefix(imported, module); ours {
				ok := slices.Contains(allowed, dir) || f.test && (dir == f.dir || slices.Contains(inTests, dir))
				if !ok {
					t.Errorf("%s imports %s: that arrow is not on the map in test/layout_test.go", f.path, dir)
				}
			}
			for prefix, packages := range onlyIn {
				if below(imported, prefix) && !slices.ContainsFunc(packages, func(p string) bool { return below(f.dir, p) }) {
					t.Errorf("%s imports %s, which only %s may", f.path, imported, strings.Join(packages, ", "))
				}
			}
		}
	}
}

func TestEveryPackageOfTheMapExists(t *testing.T) {
	there := map[string]bool{}
	for _, f := range files(t) {
		there[f.dir] = true
	}
	for _, dir := range slices.Sorted(maps.Keys(imports)) {
		if !there[dir] {
			t.Errorf("the map has package %s, which does not exist", dir)
		}
	}
}

func TestOnlyTheAPIServesHTTP(t *testing.T) {
	for _, f := range files(t) {
		if f.test || slices.Contains(servePackages, f.dir) {
			continue
		}
		name := f.nameOf(t, "net/http")
		if name == "" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok || !slices.Contains(servers, s.Sel.Name) {
				return true
			}
			if x, ok := s.X.(*ast.Ident); ok && x.Name == name {
				t.Errorf("%s: http.%s: only %s may serve HTTP",
					f.fset.Position(s.Pos()), s.Sel.Name, strings.Join(servePackages, ", "))
			}
			return true
		})
	}
}

// readEvents are the packages that may read what an event says: those that
// decide by it, the door that lets it out, and the one that replaces it on disk.
var readEvents = []string{
	"internal/deactivation", "internal/door", "internal/event", "internal/push", "internal/room", "internal/state",
	"internal/storage",
}

// Everywhere else an event is what came through the door. It goes by the names of
// methods without parameters, whatever they are of.
func TestOnlyTheDoorLetsTheContentOfAnEventOut(t *testing.T) {
	for _, f := range files(t) {
		reads := slices.ContainsFunc(readEvents, func(p string) bool { return below(f.dir, p) })
		if f.test || reads || !below(f.dir, "internal") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) > 0 {
				return true
			}
			if s, ok := call.Fun.(*ast.SelectorExpr); ok && (s.Sel.Name == "JSON" || s.Sel.Name == "Content") {
				t.Errorf("%s: %s() of an event: what leaves goes through internal/door",
					f.fset.Position(s.Pos()), s.Sel.Name)
			}
			return true
		})
	}
}

func TestEveryPackageSaysWhatItHoldsMayImportAndNeverDoes(t *testing.T) {
	docs := map[string]string{}
	for _, f := range files(t) {
		if !f.test {
			docs[f.dir] += f.ast.Doc.Text()
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(docs)) {
		for _, part := range []string{"Holds:", "May import:", "Never:"} {
			if !strings.Contains(docs[dir], "\n"+part) {
				t.Errorf("the comment of package %s has no paragraph that starts with %q", dir, part)
			}
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, f := range files(t) {
		if !f.test && f.lines > maxLines {
			t.Errorf("%s has %d lines, more than %d: which noun is missing?", f.path, f.lines, maxLines)
		}
	}
}

// files parses every Go file of the module, whatever its build tags.
func files(t *testing.T) []file {
	t.Helper()
	var found []file
	fset := token.NewFileSet()
	err := filepath.WalkDir("..", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skip(name)
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(fset, name, raw, parser.ParseComments)
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(name, ".."+string(filepath.Separator)))
		found = append(found, file{
			path: rel, dir: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go"),
			ast: parsed, fset: fset, lines: strings.Count(string(raw), "\n"),
		})
		return nil
	})
	if err != nil {
		t.Fatalf("read the module's files: %v", err)
	}
	if len(found) < len(imports) {
		t.Fatalf("found %d Go files, fewer than there are packages", len(found))
	}
	return found
}

// skip keeps the walk out of hidden folders and of other modules.
func skip(dir string) error {
	if dir == ".." {
		return nil
	}
	if strings.HasPrefix(filepath.Base(dir), ".") || filepath.Base(dir) == "testdata" {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func (f file) imports(t *testing.T) []string {
	t.Helper()
	all := make([]string, 0, len(f.ast.Imports))
	for _, spec := range f.ast.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatalf("%s: %v", f.path, err)
		}
		all = append(all, imported)
	}
	return all
}

// nameOf is the name by which the file speaks of an imported package, "" if it
// does not import it.
func (f file) nameOf(t *testing.T, imported string) string {
	t.Helper()
	i := slices.Index(f.imports(t), imported)
	switch {
	case i < 0:
		return ""
	case f.ast.Imports[i].Name != nil:
		return f.ast.Imports[i].Name.Name
	default:
		return path.Base(imported)
	}
}

// below tells whether a path is the other, or one below it.
func below(p, parent string) bool { return p == parent || strings.HasPrefix(p, parent+"/") }
