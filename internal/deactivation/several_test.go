package deactivation_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestAnotherProcessFinishesWhatAKilledOneBegan: two processes of the server run
// over one database, and one is killed in the middle of an ending, with a job in
// hand. The other finds that its lease has run out, and goes on.
func TestAnotherProcessFinishesWhatAKilledOneBegan(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "lethe")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "crashpoints", "-o", binary, "lethe/cmd/lethe")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v\n%s", err, out)
	}
	for _, at := range []point{{"outbound.before", 1}, {"storage.commit.after", 1}} {
		t.Run(at.String(), func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, binary, "postgres", crashCase{"at once", 0})
			dir, err := os.MkdirTemp("", "lethe")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			other := *v
			other.dir, other.env = dir, append(v.env, "LETHE_DATA_DIR="+dir)
			survivor := other.start()
			p := v.start(envAt + "=" + at.String())
			answered := v.end(p) == nil
			if !v.killed(p, answered) {
				t.Fatalf("it was not killed\n%s", p.log())
			}
			other.check(survivor, answered)
		})
	}
}
