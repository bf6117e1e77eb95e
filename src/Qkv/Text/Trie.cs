using System.Numerics;

namespace Qkv.Text;

/// <summary>
/// Strings with a number each, for longest-match search over UTF-16 text. The edges of all nodes lie in one open-addressing
/// table that also holds the number of the string ending there: one probe and one cache line per character.
/// </summary>
internal sealed class Trie
{
    /// <summary>The node of the empty string.</summary>
    public const int Root = 1;

    // 2^64 / golden ratio: spreads node and character over the high bits, which index the table.
    private const ulong Multiplier = 0x9E3779B97F4A7C15;

    // What a file holds must not decide where it lies: all its edges could be made to lie in a row.
    private readonly ulong _secret = (ulong)Random.Shared.NextInt64();

    private Edge[] _edges = new Edge[16];
    private int _shift = 64 - 4, _count, _nodes = Root;

    private struct Edge
    {
        public ulong Key;   // node << 16 | character; 0 is free, as nodes count from 1
        public int Child, Value;
    }

    /// <summary>Adds a string. The first number given to a string stays. Not safe beside readers.</summary>
    public void Add(ReadOnlySpan<char> text, int value)
    {
        int node = Root;
        for (int i = 0; i < text.Length; i++)
        {
            ref Edge edge = ref Slot(node, text[i]);
            if (edge.Key == 0)
            {
                if (++_count > _edges.Length / 2)
                {
                    Grow();
                    edge = ref Slot(node, text[i]);
                }
                edge = new Edge { Key = Key(node, text[i]), Child = ++_nodes, Value = -1 };
            }
            node = edge.Child;
            if (i == text.Length - 1 && edge.Value < 0)
            {
                edge.Value = value;
            }
        }
    }

    /// <summary>The node reached from the root by <paramref name="text"/>, or 0 where no string starts so.</summary>
    public int Find(ReadOnlySpan<char> text)
    {
        int node = Root;
        for (int i = 0; i < text.Length && node != 0; i++)
        {
            node = Slot(node, text[i]).Child;
        }
        return node;
    }

    /// <summary>
    /// The longest string below <paramref name="node"/> that <paramref name="text"/> starts with: its number and, in
    /// <paramref name="length"/>, its characters after the node; -1 and 0 where there is none. Never matches nothing.
    /// </summary>
    public int LongestMatch(int node, ReadOnlySpan<char> text, out int length)
    {
        int value = -1;
        length = 0;
        if (node == 0) return value; // With NUL its key would be that of a free place.
        Edge[] edges = _edges;
        int mask = edges.Length - 1;
        ulong secret = _secret;
        for (int i = 0; i < text.Length; i++)
        {
            ulong key = Key(node, text[i]);
            int at = (int)((key ^ secret) * Multiplier >> _shift);
            while (edges[at].Key != key)
            {
                if (edges[at].Key == 0)
                {
                    return value;
                }
                at = (at + 1) & mask;
            }
            node = edges[at].Child;
            if (edges[at].Value >= 0)
            {
                value = edges[at].Value;
                length = i + 1;
            }
        }
        return value;
    }

    private static ulong Key(int node, char character) => (ulong)(uint)node << 16 | character;

    private ref Edge Slot(int node, char character)
    {
        ulong key = Key(node, character);
        int at = (int)((key ^ _secret) * Multiplier >> _shift);
        while (_edges[at].Key != 0 && _edges[at].Key != key)
        {
            at = (at + 1) & (_edges.Length - 1);
        }
        return ref _edges[at];
    }

    private void Grow()
    {
        Edge[] old = _edges;
        _edges = new Edge[checked(old.Length * 2)];
        _shift = 64 - BitOperations.Log2((uint)_edges.Length);
        foreach (Edge edge in old)
        {
            if (edge.Key != 0)
            {
                Slot((int)(edge.Key >> 16), (char)edge.Key) = edge;
            }
        }
    }
}
