package storage

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// place is a folder that one process has at a time. The lock of its file goes
// with the process, however that ends; so who has it knows that the node whose
// name is in the file is dead.
type place struct {
	file *os.File
	last string // the node that was here before
}

func takePlace(folder string) (*place, error) {
	path := filepath.Join(folder, "node.lock")
	f, err := lockFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	last, err := io.ReadAll(f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &place{file: f, last: string(last)}, nil
}

// sign leaves this node's name, once the last one has been seen to.
func (p *place) sign(id string) error {
	if err := p.file.Truncate(0); err != nil {
		return wrapFile(err)
	}
	if _, err := p.file.WriteAt([]byte(id), 0); err != nil {
		return wrapFile(err)
	}
	return nil
}

func (p *place) close() error { return p.file.Close() }
