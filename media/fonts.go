package media

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"castad/providers"

	"github.com/go-text/typesetting/font"
)

// face loads the bold Noto face of a language; the CJK faces share code points but draw Han differently.
func (r *Renderer) face(l providers.Language) (*font.Face, error) {
	name, index := "NotoSansCJK-Bold.ttc", map[providers.Language]int{providers.Korean: 1, providers.Chinese: 2}[l]
	switch l {
	case providers.English, providers.Vietnamese:
		name = "NotoSans-Bold.ttf"
	case providers.Thai:
		name = "NotoSansThai-Bold.ttf"
	}
	data, err := r.readFont(name)
	if err != nil {
		return nil, fmt.Errorf("read font for %s: %w", l, err)
	}
	faces, err := font.ParseTTC(bytes.NewReader(data))
	if err != nil || index >= len(faces) {
		return nil, fmt.Errorf("parse font %s: %d faces: %w", name, len(faces), err)
	}
	return faces[index], nil
}

func (r *Renderer) readFont(name string) (data []byte, err error) {
	err = filepath.WalkDir(r.FontDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != name {
			return err
		}
		if data, err = os.ReadFile(path); err == nil {
			err = fs.SkipAll
		}
		return err
	})
	if err == nil && data == nil {
		err = fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return data, err
}
