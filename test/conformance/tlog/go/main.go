// Verifies a C2SP tlog-tiles directory with the Go checksum database's own code: shares nothing with the server.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8
const tileWidth = 1 << tileHeight

// directory reads tiles from files; the checksum database names them with their height, tlog-tiles without.
type directory struct{ root string }

func (d directory) Height() int { return tileHeight }

func (d directory) SaveTiles([]tlog.Tile, [][]byte) {}

func (d directory) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	contents := make([][]byte, len(tiles))
	for i, tile := range tiles {
		name := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", tileHeight), "tile/", 1)
		data, err := os.ReadFile(filepath.Join(d.root, name))
		if err != nil {
			return nil, err
		}
		contents[i] = data
	}
	return contents, nil
}

func openTree(path string, verifier note.Verifier) (tlog.Tree, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("%s: %w", path, err)
	}
	origin, rest, _ := strings.Cut(opened.Text, "\n")
	if origin != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("%s is the checkpoint of %q", path, origin)
	}
	// ParseTree wants the checksum database's own first line; the two lines below it are the same.
	return tlog.ParseTree([]byte("go.sum database tree\n" + rest))
}

// entries calls visit with each entry, reading the bundles that a tree of this size has.
func entries(root string, size int64, visit func(index int64, entry []byte) error) error {
	for first := int64(0); first < size; first += tileWidth {
		width := min(tileWidth, size-first)
		name := tlog.Tile{H: tileHeight, L: -1, N: first / tileWidth, W: int(width)}.Path()
		name = strings.Replace(name, fmt.Sprintf("tile/%d/data/", tileHeight), "tile/entries/", 1)
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		for i := int64(0); i < width; i++ {
			if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
				return fmt.Errorf("%s ends within entry %d", name, first+i)
			}
			length := int(binary.BigEndian.Uint16(data))
			if err := visit(first+i, data[2:2+length]); err != nil {
				return err
			}
			data = data[2+length:]
		}
		if len(data) > 0 {
			return fmt.Errorf("%s is longer than its %d entries", name, width)
		}
	}
	return nil
}

func run(dir, keyFile, keptFile string) error {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(string(key)))
	if err != nil {
		return err
	}
	tree, err := openTree(filepath.Join(dir, "checkpoint"), verifier)
	if err != nil {
		return err
	}
	hashes := tlog.TileHashReader(tree, directory{dir})
	err = entries(dir, tree.N, func(index int64, entry []byte) error {
		sealed, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
		if err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		if tlog.RecordHash(entry) != sealed[0] {
			return fmt.Errorf("entry %d is not what the tree holds", index)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if keptFile != "" {
		kept, err := openTree(keptFile, verifier)
		if err != nil {
			return err
		}
		if kept.N > tree.N {
			return fmt.Errorf("the log has %d entries, the kept checkpoint %d", tree.N, kept.N)
		}
		proof, err := tlog.ProveTree(tree.N, kept.N, hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, kept.N, kept.Hash); err != nil {
			return fmt.Errorf("the log does not continue the kept checkpoint of %d entries: %w", kept.N, err)
		}
	}
	fmt.Printf("verified %d entries, root %s\n", tree.N, tree.Hash)
	return nil
}

func main() {
	dir := flag.String("dir", "", "directory of the exported log")
	key := flag.String("key", "", "file with the log's verifier key")
	kept := flag.String("kept", "", "file with a checkpoint that was kept earlier")
	flag.Parse()
	if err := run(*dir, *key, *kept); err != nil {
		fmt.Fprintln(os.Stderr, "not verified:", err)
		os.Exit(1)
	}
}
