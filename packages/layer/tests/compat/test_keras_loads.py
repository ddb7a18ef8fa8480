"""What Keras does in this thread is told by the functions that run: Keras has no word for it."""

import copy
import gc
import pickle
import threading
import types
import weakref

import keras
import pytest

from flaxlayer.compat import keras_loads as compat_loads


@keras.saving.register_keras_serializable("loads")
class Looks(keras.layers.Layer):
    """Notes the table of the load that it is made in."""

    seen: list = []  # noqa: RUF012

    def call(self, x):
        return x

    @classmethod
    def from_config(cls, config):
        cls.seen.append(compat_loads.current_load())
        return super().from_config(config)


class Reads(keras.layers.Dense):
    """Notes the table of the load that gives it its weights."""

    def load_own_variables(self, store):
        Looks.seen.append(compat_loads.current_load())
        super().load_own_variables(store)


@pytest.fixture
def seen():
    Looks.seen.clear()
    yield Looks.seen
    Looks.seen.clear()


@pytest.fixture
def model():
    tensor = keras.Input((4,))
    return keras.Model(tensor, Looks()(Looks()(tensor)))


def ways(model, folder):
    """Every way to make a model again, by name."""
    model.save(folder / "model.keras")
    config, text, stored = model.get_config(), model.to_json(), pickle.dumps(model)
    sequential = keras.Sequential(
        [keras.Input((3, 4)), keras.layers.TimeDistributed(Looks()), Looks()]
    ).get_config()
    whole = keras.saving.serialize_keras_object(model)
    weighty = keras.Sequential([keras.Input((4,)), Reads(3), Reads(2)])
    weighty.save_weights(folder / "m.weights.h5")
    return {
        "load_weights": lambda: weighty.load_weights(folder / "m.weights.h5"),
        "load_model": lambda: keras.saving.load_model(folder / "model.keras"),
        "JSON": lambda: keras.models.model_from_json(text),
        "from_config": lambda: keras.Model.from_config(copy.deepcopy(config)),
        "from_config of a Sequential": lambda: keras.Sequential.from_config(
            copy.deepcopy(sequential)
        ),
        "object": lambda: keras.saving.deserialize_keras_object(copy.deepcopy(whole)),
        "clone": lambda: keras.models.clone_model(model),
        "copy": lambda: copy.deepcopy(model),
        "pickle": lambda: pickle.loads(stored),
    }


NAMES = [
    *("load_model", "JSON", "from_config", "from_config of a Sequential", "object", "clone"),
    *("copy", "pickle", "load_weights"),
]


@pytest.mark.law("S4")
@pytest.mark.parametrize("name", NAMES)
def test_all_that_one_load_makes_has_one_table_and_two_loads_have_two(name, model, seen, tmp_path):
    load = ways(model, tmp_path)[name]
    seen.clear()
    load()
    first = list(seen)
    load()
    second = seen[len(first) :]
    assert len(first) == len(second) == 2
    assert all(isinstance(table, dict) for table in seen)
    assert first[0] is first[1] and second[0] is second[1]
    assert first[0] is not second[0]
    assert compat_loads.current_load() is None


@pytest.mark.parametrize("name", ["load_model", "JSON", "pickle", "load_weights"])
def test_a_file_that_is_loaded_in_another_load_has_its_own_table(name, model, seen, tmp_path):
    load = ways(model, tmp_path)[name]

    @keras.saving.register_keras_serializable("loads")
    class LoadsToo(keras.layers.Layer):
        @classmethod
        def from_config(cls, config):
            seen.append(compat_loads.current_load())
            load()
            return super().from_config(config)

    stored = keras.saving.serialize_keras_object(LoadsToo())
    seen.clear()
    keras.saving.deserialize_keras_object(stored)
    outer, *inner = seen
    assert len(inner) == 2 and inner[0] is inner[1] is not outer


def test_objects_of_one_configuration_have_one_table(seen):
    stored = [keras.saving.serialize_keras_object(Looks()) for _ in range(2)]
    keras.saving.deserialize_keras_object(stored)
    assert len(seen) == 2 and isinstance(seen[0], dict)
    assert seen[0] is seen[1]


def test_a_from_config_that_is_not_of_keras_is_no_load():
    class Optimizer:
        @classmethod
        def from_config(cls, config):
            return compat_loads.current_load()

    def from_config(config):
        return compat_loads.current_load()

    assert Optimizer.from_config({}) is from_config({}) is None


def test_threads_that_load_at_once_have_a_table_each(model, seen):
    text, barrier = model.to_json(), threading.Barrier(2)

    def load():
        barrier.wait()
        keras.models.model_from_json(text)

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(table) for table in seen}) == 2


def test_what_a_load_keeps_goes_when_it_returns():
    class Kept:
        pass

    kept = []

    class Keeps(keras.layers.Layer):
        @classmethod
        def from_config(cls, config):
            held = Kept()
            compat_loads.current_load()["kept"] = held
            kept.append(weakref.ref(held))
            gc.collect()
            assert kept[0]() is compat_loads.current_load()["kept"]
            return super().from_config(config)

    Keeps.from_config({"name": "keeps"})
    gc.collect()
    assert kept[0]() is None


def test_copies_and_pickles_are_told_from_saving(tmp_path):
    seen = []

    @keras.saving.register_keras_serializable(package="compat-test")
    class Watched(keras.layers.Layer):
        def call(self, x):
            return x

        def get_config(self):
            seen.append(
                (
                    compat_loads.is_copying(),
                    compat_loads.is_pickling(),
                    compat_loads.is_unpickling(),
                )
            )
            return super().get_config()

        @classmethod
        def from_config(cls, config):
            seen.append(
                (
                    compat_loads.is_copying(),
                    compat_loads.is_pickling(),
                    compat_loads.is_unpickling(),
                )
            )
            return super().from_config(config)

    inputs = keras.Input((3,))
    model = keras.Model(inputs, Watched()(inputs))
    ways = [
        (False, False, lambda: model.save(tmp_path / "model.keras")),
        (True, False, lambda: keras.models.clone_model(model)),
        (False, True, lambda: pickle.dumps(model)),
        (True, True, lambda: copy.deepcopy(model)),
        (True, True, lambda: copy.copy(model)),
    ]
    for copies, pickles, way in ways:
        seen.clear()
        way()
        assert seen[0] == (copies, pickles, False)
        assert {copied for copied, _, _ in seen} == {copies}
    pickled = pickle.dumps(model)
    seen.clear()
    pickle.loads(pickled)
    assert seen[0] == (False, False, True)


def test_a_file_that_is_loaded_while_a_pickle_is_read_is_no_pickle(tmp_path):
    told = []

    @keras.saving.register_keras_serializable("loads")
    class Tells(keras.layers.Layer):
        file = None

        @classmethod
        def from_config(cls, config):
            told.append(compat_loads.is_unpickling())
            file, cls.file = cls.file, None
            if file:
                keras.saving.load_model(file)
            return super().from_config(config)

        def call(self, x):
            return x

    model = keras.Sequential([keras.Input((4,)), Tells()])
    model.save(tmp_path / "inner.keras")
    stored = pickle.dumps(model)
    Tells.file = tmp_path / "inner.keras"
    pickle.loads(stored)
    assert told == [True, False]


def test_code_that_cannot_be_hashed_is_looked_past():
    # As torch.compile makes it.
    code = (lambda: compat_loads.current_load()).__code__
    odd = types.FunctionType(code.replace(co_consts=(*code.co_consts, {})), globals())
    with pytest.raises(TypeError):
        hash(odd.__code__)
    assert odd() is None
    assert not compat_loads.is_copying()
